import type { BlockBackend } from './backend.ts';
import { DriveError, type DriveHost, type DriveOptions } from './drive.ts';
import { FileBackend } from './file-backend.ts';
import { identitySeed } from './identity.ts';
import { openImage } from './image-file.ts';
import { MemoryBackend } from './memory-backend.ts';
import { NullBackend } from './null-backend.ts';
import { formatSize } from './size.ts';

/** Opens (or creates) and locks the drive. Throws DriveError. */
export function openDrive(options: DriveOptions, host: DriveHost): BlockBackend {
  switch (options.kind) {
    case 'null':
      return new NullBackend(options, identitySeed(options, host), `null, ${formatSize(options.sizeBytes!)}`);
    case 'memory':
      return new MemoryBackend(
        host.native,
        options,
        identitySeed(options, host),
        `memory, ${formatSize(options.sizeBytes!)}`,
      );
    case 'file':
      return openFile(options, host);
  }
}

function openFile(options: DriveOptions, host: DriveHost): BlockBackend {
  const image = openImage(options, host);
  try {
    return new FileBackend({ drive: options, image, identitySeed: identitySeed(options, host) }, host);
  } catch (error) {
    host.native.close(image.fd);
    throw new DriveError('failure', `drive ${options.path}: ${error instanceof Error ? error.message : error}`);
  }
}

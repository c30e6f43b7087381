import { rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BlockBackend } from './backend.ts';
import { DriveError, type DriveHost, type DriveOptions } from './drive.ts';
import { FileBackend } from './file-backend.ts';
import { identitySeed } from './identity.ts';
import { openImage } from './image-file.ts';
import { MemoryBackend } from './memory-backend.ts';
import { NullBackend } from './null-backend.ts';
import { TimedBackend } from './timed-backend.ts';

/**
 * Opens the drives of one device, all or none: when one cannot be had, files that were made for the others are gone again. Throws DriveError.
 */
export function openDrives(drives: readonly DriveOptions[], host: DriveHost): BlockBackend[] {
  const opened: BlockBackend[] = [];
  const created: string[] = [];
  try {
    const telling = { ...host, created: (path: string) => void created.push(path) };
    for (const options of drives) opened.push(openDrive(options, telling));
    return opened;
  } catch (error) {
    // Nothing is in flight, so this closes at once; what it would report is not the reason.
    for (const drive of opened) drive.close().catch(() => {});
    for (const path of created) rmSync(path, { force: true });
    throw error;
  }
}

/** Drives of one device that are the same to a guest, which drops the second of them: a file, or a serial number, twice. Throws DriveError. */
export function checkDistinct(drives: readonly DriveOptions[]): void {
  const serials = new Set<string>();
  const files = new Set<string>();
  for (const { kind, path, serial } of drives) {
    if (serial !== null && serials.has(serial))
      throw new DriveError('usage', `--drive: serial=${serial} is given twice`);
    if (serial !== null) serials.add(serial);
    if (kind !== 'file') continue;
    const file = fileIdentity(path);
    if (files.has(file)) throw new DriveError('usage', `--drive: ${path} is given twice`);
    files.add(file);
  }
}

/** The same for the same file, by whatever path. */
export function fileIdentity(path: string): string {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return resolve(path);
  }
}

/** Opens (or creates) and locks the drive. Throws DriveError. */
export function openDrive(options: DriveOptions, host: DriveHost): BlockBackend {
  switch (options.kind) {
    case 'null':
      return new NullBackend(options, identitySeed(options, host));
    case 'memory':
      return new MemoryBackend(host.native, options, identitySeed(options, host));
    case 'file':
      return openFile(options, host);
  }
}

function openFile(options: DriveOptions, host: DriveHost): BlockBackend {
  const image = openImage(options, host);
  try {
    const file = new FileBackend({ drive: options, image, identitySeed: identitySeed(options, host) }, host);
    return options.stallMs === null ? file : new TimedBackend(file, options.stallMs, host);
  } catch (error) {
    host.native.close(image.fd);
    throw new DriveError('failure', `drive ${options.path}: ${error instanceof Error ? error.message : error}`);
  }
}

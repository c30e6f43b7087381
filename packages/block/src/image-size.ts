import { ftruncate } from 'node:fs';
import type { Native } from '@sidecard/native';
import type { BlockGeometry } from './backend.ts';
import { DriveError } from './drive.ts';
import type { ImageFile } from './image-file.ts';
import { formatSize } from './size.ts';

/** @throws DriveError where an image cannot be given that size. */
export function checkSize(native: Native, image: ImageFile, geometry: BlockGeometry, sizeBytes: number): void {
  const { blockDevice, unitBytes, fd, path } = image;
  const wrong = (kind: 'usage' | 'failure', reason: string) => new DriveError(kind, `drive ${path}: ${reason}`);
  if (blockDevice) throw wrong('failure', 'is a block device, which is resized where it comes from');
  if (geometry.readOnly) throw wrong('failure', 'is read-only');
  if (sizeBytes % unitBytes !== 0) throw wrong('usage', `its size is a multiple of ${unitBytes} bytes`);
  const fileBytes = native.fileSize(fd);
  // Somebody has put more into it: to grow it to less than that would cut it.
  if (sizeBytes > geometry.sizeBytes && sizeBytes < fileBytes) {
    throw wrong('failure', `its file is ${formatSize(fileBytes)} large by now: measure it again first`);
  }
}

/**
 * 0 or an errno. Elsewhere than on this thread: a file system may take its time. On a descriptor of its own: the drive may be closed meanwhile, and its
 * number be another file's.
 */
export function truncateFile(native: Native, fd: number, lengthBytes: number): Promise<number> {
  const own = native.dup(fd);
  if (own < 0) return Promise.resolve(-own);
  return new Promise((resolve) => {
    ftruncate(own, lengthBytes, (error) => {
      native.close(own);
      resolve(Math.abs(error?.errno ?? 0));
    });
  });
}

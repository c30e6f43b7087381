import { chown, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DriveOptions } from '@sidecard/block';

// What is asked of a file on the device's thread is asked before where nobody waits for it: a file system may hang, and then only who asked waits.

/**
 * Resolves when the file system has the file of a drive at hand, and takes changes: one that is none, since a frozen one, and a server that hangs, let
 * others pass. What is wrong with the file is said when it is opened.
 */
export async function reach({ kind, path, readOnly }: DriveOptions): Promise<void> {
  if (kind !== 'file') return;
  try {
    const stats = await stat(path).catch(() => null);
    const changed = stats === null ? dirname(path) : path;
    // To nobody else. A mode set again would undo what somebody sets meanwhile, and a folder of another group would lose its S_ISGID.
    if (!readOnly && !stats?.isBlockDevice()) await chown(changed, -1, -1);
    // Others are not opened at all, some would wait for somebody.
    if (stats?.isFile() || stats?.isBlockDevice()) await (await open(path, 'r')).close();
  } catch {
    // It is missing, or somebody else's.
  }
}

/** Resolves when the file system can say how large an open drive is. */
export async function measurable(drive: DriveOptions | null): Promise<void> {
  if (drive?.kind === 'file') await stat(drive.path).catch(() => {});
}

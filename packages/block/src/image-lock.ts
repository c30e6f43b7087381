import { Flock, type Native, RangeLock } from '@sidecard/native';
import { EAGAIN } from './errno.ts';

/**
 * QEMU's image locks: who has a permission holds a read lock on byte 100 + bit, who lets nobody else have it on byte
 * 200 + bit, of open file description locks. So we and QEMU refuse each other's images.
 */
const PERMISSION_BASE = 100;
const UNSHARED_BASE = 200;
const CONSISTENT_READ = 0;
const WRITE = 1;
const RESIZE = 3;

export type LockResult = 'locked' | 'in use' | 'unsupported';

/**
 * Takes the locks of a disk: it reads (and writes), and nobody else may write or resize. First taken, then asked, so that of two at the same time at
 * least one is refused.
 */
export function lockImage(native: Native, fd: number, readOnly: boolean): LockResult {
  const permissions = readOnly ? [CONSISTENT_READ] : [CONSISTENT_READ, WRITE];
  const unshared = [WRITE, RESIZE];
  for (const bit of permissions) {
    if (native.lockRange(fd, RangeLock.read, PERMISSION_BASE + bit, 1) < 0) return 'unsupported';
  }
  for (const bit of unshared) {
    if (native.lockRange(fd, RangeLock.read, UNSHARED_BASE + bit, 1) < 0) return 'unsupported';
  }
  const refused =
    permissions.some((bit) => native.testRange(fd, RangeLock.write, UNSHARED_BASE + bit, 1) > 0) ||
    unshared.some((bit) => native.testRange(fd, RangeLock.write, PERMISSION_BASE + bit, 1) > 0);
  return refused ? 'in use' : 'locked';
}

/**
 * The fence of state.md: the kernel drops this lock when the last request in flight has let go of the file, so whoever
 * gets it knows that no I/O of a process before it goes on. Drives that are only read share it.
 */
export function fence(native: Native, fd: number, readOnly: boolean): LockResult {
  const result = native.flock(fd, (readOnly ? Flock.shared : Flock.exclusive) | Flock.nonBlocking);
  if (result >= 0) return 'locked';
  return result === -EAGAIN ? 'in use' : 'unsupported';
}

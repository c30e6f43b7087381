import type { Log } from '@sidecard/core';
import { EBADF, EDQUOT, EFAULT, EFBIG, EINVAL, EIO, ENOSPC, errnoText } from './errno.ts';

/** Errors of a write that was refused before any of it was taken: nothing acknowledged is lost by them. */
const REFUSALS: readonly number[] = [ENOSPC, EDQUOT, EFBIG, EINVAL, EFAULT, EBADF];

/**
 * Whether a flush of the drive has failed. Linux marks the pages clean that it could not write, and the next fdatasync
 * answers success: so a flush that failed stays failed (storage.md, Durability).
 */
export class FlushRecord {
  readonly #drive: string;
  readonly #log: Log;
  /** 0, or what flushes and FUA writes answer. */
  errno = 0;
  failure: string | null = null;

  constructor(drive: string, log: Log) {
    this.#drive = drive;
    this.#log = log;
  }

  /** A call that was to make data durable failed; a durable write may also have been refused as a whole. */
  failedIn(phase: 'transfer' | string, errno: number): void {
    if (phase === 'transfer' && REFUSALS.includes(errno)) return;
    this.failed(errno);
  }

  failed(errno: number): void {
    if (this.errno !== 0) return;
    // ENOSPC of a flush is no room for data that was acknowledged already: not the "try again" that it is to a write.
    this.errno = EIO;
    this.failure = `a flush failed (${errnoText(errno)}), acknowledged data may be lost`;
    this.#log.error({ drive: this.#drive }, `${this.failure}; flush and FUA fail from now on`);
  }

  clear(): void {
    this.errno = 0;
    this.failure = null;
  }
}

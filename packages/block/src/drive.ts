import type { Clock, Log } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import type { Limits } from './limiter.ts';

/** What `--drive` says. */
export interface DriveOptions {
  readonly kind: 'file' | 'memory' | 'null';
  /** Of the image or block device; empty for memory and null. */
  readonly path: string;
  /** `size=`: created sparse when the file is missing. Null: as large as the file. */
  readonly sizeBytes: number | null;
  /** `none` goes past the page cache (O_DIRECT); it and `writeback` are durable after a flush, `writethrough` at once. */
  readonly cache: 'writeback' | 'writethrough' | 'none';
  readonly readOnly: boolean;
  readonly discard: 'unmap' | 'ignore';
  /** Of the device; null: derived from the drive's identity. */
  readonly serial: string | null;
  /** Logical block size that the device shows, bytes. Null: nobody has said, so it is 512 unless a guest has chosen another by formatting. */
  readonly lba: 512 | 4096 | null;
  /** `on-stall=error`: how long a request may take before it fails, ms. Null: requests wait for the drive (storage.md, Stalls). */
  readonly stallMs: number | null;
  /** `iops=`, `bps=`: at first; whoever shows the drive to a guest keeps to them (Limiter). */
  readonly limits: Limits;
}

/** One line for the person at the command line. `usage` is a wrong `--drive` (exit code 2), `failure` a drive that can't be had (1). */
export class DriveError extends Error {
  readonly kind: 'usage' | 'failure';
  /** Of the host, positive; 0 where that is not the reason. */
  readonly errno: number;

  constructor(kind: 'usage' | 'failure', message: string, errno = 0) {
    super(message);
    this.name = 'DriveError';
    this.kind = kind;
    this.errno = errno;
  }
}

/** What a drive needs of its process. */
export interface DriveHost {
  readonly native: Native;
  readonly log: Log;
  readonly clock: Clock;
  /** Seeds identities; /etc/machine-id unless given. */
  readonly machineId?: string;
  /** Tells drives without a path apart (`mem:`, `null:`), the same after a restart: the daemon's socket path. */
  readonly instance?: string;
  /** Told of each file that was made for a drive. */
  readonly created?: (path: string) => void;
}

import type { PollSource, Segments } from '@sidecard/core';
import type { DurableFile } from './durable-file.ts';

export type BlockOperation = 'read' | 'write' | 'flush' | 'writeZeroes' | 'discard';

/**
 * One request to a drive, pooled by who submits it. The fields stay as they are until it is done.
 */
export abstract class BlockRequest {
  operation: BlockOperation = 'read';
  /** Position on the drive, bytes. */
  offset = 0;
  /** Bytes; for read and write the same as segments.lengthBytes. */
  lengthBytes = 0;
  /** Durable before it is done (write, writeZeroes). */
  fua = false;
  /** writeZeroes: the space may be given back (NVMe DEAC, virtio UNMAP). */
  mayDeallocate = false;
  segments: Segments | null = null;
  /**
   * The hold under which it is made, and inside whose range it lies if it changes anything; null: it takes its range by itself. Whoever has a hold makes
   * every request under it: another may have to wait for room that those who wait for the range have. Several under one hold keep no order.
   */
  under: RangeHold | null = null;
  /** 0, or a positive errno number, once done. */
  error = 0;
  /** Index of the backend's own slot; belongs to the backend. */
  slot = -1;
  /** Called once when a request for which submit answered false has ended; never from inside submit. */
  abstract done(): void;
}

/**
 * A range of a drive that somebody has alone over several requests: compare-and-write, copy, format (storage.md, The file backend). Pooled by its
 * holder, who waits for nothing but requests of its own on this drive while it has the range.
 */
export abstract class RangeHold {
  /** Bytes; they stay as they are until `letGo`. */
  offset = 0;
  lengthBytes = 0;
  /** 0 while it waits or has the range. A positive errno number once held: it was not to be had (a drive that stalls), and every request under it fails. */
  error = 0;
  /** Belongs to the backend. */
  slot = -1;
  /** Called once when a `hold` that answered false has the range; never from inside `hold`, but maybe from inside the `letGo` of another. */
  abstract held(): void;
}

export interface BlockGeometry {
  /** Changes only with `remeasure` and `setSize`. */
  sizeBytes: number;
  /** Smallest aligned unit that the drive reads and writes without read-modify-write, bytes (1 for buffered files). */
  readonly alignmentBytes: number;
  /** What discard really frees at a time, bytes. */
  readonly discardGranularityBytes: number;
  readonly readOnly: boolean;
  /** False when every write is durable when it is done (cache=writethrough): the guest is offered no volatile cache. */
  readonly volatileCache: boolean;
  /** Discarded blocks read as zeroes. */
  readonly discardReadsZeroes: boolean;
}

/** A drive: where the blocks are. */
export interface BlockBackend extends PollSource {
  readonly geometry: BlockGeometry;
  /** From which serial numbers, NGUID, EUI64 and UUID derive: 32 bytes, stable for the drive (storage.md, Identity). */
  readonly identitySeed: Uint8Array;
  /** One line for people: the path or URL. */
  readonly description: string;
  /**
   * Starts a request, or holds it until `commit`. True when it is already done (`error` says how); false when `done()` will be called.
   */
  submit(request: BlockRequest): boolean;
  /** Hands what was submitted since the last call to the kernel, as one batch. */
  commit(): void;
  /** Takes a range alone: waits for the writes in it that are under way, and has later ones wait. True when it is had at once; else `held()` will be called. */
  hold(hold: RangeHold): boolean;
  /** Gives the range back, after the last request under the hold has ended; or gives up waiting for it. */
  letGo(hold: RangeHold): void;
  /** Measures the drive again, which somebody may have grown or cut. True when `geometry.sizeBytes` has changed. */
  remeasure(): boolean;
  /**
   * Makes it larger, with zeroes, or smaller: nothing may be under way beyond the new end then. Durable after a flush. Rejects with a DriveError and the
   * drive as it was: `usage` where it cannot be of that size, with an errno where the host refuses.
   */
  setSize(sizeBytes: number): Promise<void>;
  /** A small file beside the image, named as it with `suffix` after it; null where nothing lasts beside it (memory, devices). */
  beside(suffix: string): DurableFile | null;
  /** Why flush and FUA fail, one line, or null. They go on failing until `clearFailure` (storage.md, Durability). */
  readonly failure: string | null;
  /** The operator has seen that acknowledged data may be lost. */
  clearFailure(): void;
  /** With a limit of time (on-stall=error): the drive has not answered, and gets nothing new until it does. */
  readonly stalled?: boolean;
  /** Requests submitted and not done. */
  readonly inFlight: number;
  /** Waits for requests in flight, flushes what was written, closes. The second call is the first. */
  close(): Promise<void>;
}

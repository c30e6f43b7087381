import type { PollSource, Segments } from '@sidecard/core';

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
  /** 0, or a positive errno number, once done. */
  error = 0;
  /** Index of the backend's own slot; belongs to the backend. */
  slot = -1;
  /** Called once when a request for which submit answered false has ended; never from inside submit. */
  abstract done(): void;
}

export interface BlockGeometry {
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
  /** Requests submitted and not done. */
  readonly inFlight: number;
  /** Waits for requests in flight, flushes unless read-only, closes. */
  close(): Promise<void>;
}

import type { Journal } from './journal.ts';

/**
 * A piece of this process's memory as the views that the hot paths need. Views are made once, here: making one per
 * access costs more than the access (no subarray, no DataView in a hot path).
 */
export class HostBuffer {
  readonly buffer: ArrayBuffer;
  readonly byteOffset: number;
  readonly lengthBytes: number;
  readonly bytes: Uint8Array;
  /** 32-bit words, host (little) endian. Empty unless the piece is aligned to 4 bytes. */
  readonly words: Int32Array;
  readonly view: DataView;
  /** Set in pieces of a state arena: the undo log that stores go through while a turn is open. */
  readonly journal: Journal | null;

  constructor(
    buffer: ArrayBuffer,
    byteOffset = 0,
    lengthBytes = buffer.byteLength - byteOffset,
    journal: Journal | null = null,
  ) {
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.lengthBytes = lengthBytes;
    this.bytes = new Uint8Array(buffer, byteOffset, lengthBytes);
    this.words =
      byteOffset % 4 === 0 ? new Int32Array(buffer, byteOffset, Math.floor(lengthBytes / 4)) : new Int32Array(0);
    this.view = new DataView(buffer, byteOffset, lengthBytes);
    this.journal = journal;
  }

  static alloc(lengthBytes: number): HostBuffer {
    return new HostBuffer(new ArrayBuffer(lengthBytes));
  }

  /** A piece of this piece, sharing its memory. For set-up only, never per command. */
  slice(offset: number, lengthBytes: number): HostBuffer {
    return new HostBuffer(this.buffer, this.byteOffset + offset, lengthBytes, this.journal);
  }
}

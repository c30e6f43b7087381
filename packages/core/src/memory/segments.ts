import type { HostBuffer } from '../bits/host-buffer.ts';

/**
 * Where the bytes of a transfer are in this process: a list of pieces, each in a mapping that the native side knows by
 * its handle (so that io_uring reads and writes it in place) and that JavaScript knows as a HostBuffer. Pooled: it is
 * filled and cleared for each command, and nothing is allocated.
 */
export class Segments {
  readonly capacity: number;
  count = 0;
  lengthBytes = 0;
  /** Native mapping handle of each piece. */
  readonly handle: Int32Array;
  /** Offset of each piece in its mapping, bytes. */
  readonly offset: Float64Array;
  /** Length of each piece, bytes. */
  readonly length: Int32Array;
  /** The whole mapping that each piece is in. */
  readonly area: (HostBuffer | null)[];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.handle = new Int32Array(capacity);
    this.offset = new Float64Array(capacity);
    this.length = new Int32Array(capacity);
    this.area = new Array<HostBuffer | null>(capacity).fill(null);
  }

  clear(): void {
    this.count = 0;
    this.lengthBytes = 0;
  }

  /** Adds a piece, joined to the last one where they touch. False when the list is full. */
  add(area: HostBuffer, handle: number, offset: number, lengthBytes: number): boolean {
    const last = this.count - 1;
    if (last >= 0 && this.handle[last] === handle && this.offset[last]! + this.length[last]! === offset) {
      this.length[last] = this.length[last]! + lengthBytes;
    } else {
      if (this.count === this.capacity) return false;
      this.handle[this.count] = handle;
      this.offset[this.count] = offset;
      this.length[this.count] = lengthBytes;
      this.area[this.count] = area;
      this.count++;
    }
    this.lengthBytes += lengthBytes;
    return true;
  }
}

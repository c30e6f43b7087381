/** Words of the thread pool's completion queue, after the columns. */
export const PoolWord = { head: 0, tail: 1, flags: 2, count: 3 } as const;

/**
 * The request table of a ring: one array per field, one row per slot, in one buffer that C reads in place.
 * The order is that of ring_columns in c/ring.c.
 */
export class RingColumns {
  readonly entries: number;
  readonly maxSegments: number;
  readonly buffer: ArrayBuffer;
  /** Position in the file, bytes. */
  readonly position: Float64Array;
  /** Length of a fallocate, discard or zeroOut, bytes. */
  readonly length: Float64Array;
  /** Row `slot * maxSegments + index`: offset in the mapping, bytes. */
  readonly segmentOffset: Float64Array;
  /** Row `slot * maxSegments + index`: bytes. */
  readonly segmentLength: Float64Array;
  /** RequestOp. */
  readonly op: Int32Array;
  readonly fd: Int32Array;
  /** WriteFlags or Fallocate. */
  readonly flags: Int32Array;
  /** Number of segments. */
  readonly segments: Int32Array;
  /** Row `slot * maxSegments + index`: handle of the mapping. */
  readonly segmentHandle: Int32Array;
  /** Slots to submit. */
  readonly queue: Int32Array;
  /** What poll found: slot, result, slot, result... A result is bytes, or a negative errno. */
  readonly completions: Int32Array;
  readonly poolWords: Int32Array;

  constructor(entries: number, maxSegments: number) {
    const rows = entries * maxSegments;
    this.entries = entries;
    this.maxSegments = maxSegments;
    this.buffer = new ArrayBuffer(8 * (2 * entries + 2 * rows) + 4 * (7 * entries + rows + PoolWord.count));
    let offset = 0;
    const doubles = (count: number) => {
      const column = new Float64Array(this.buffer, offset, count);
      offset += column.byteLength;
      return column;
    };
    const integers = (count: number) => {
      const column = new Int32Array(this.buffer, offset, count);
      offset += column.byteLength;
      return column;
    };
    this.position = doubles(entries);
    this.length = doubles(entries);
    this.segmentOffset = doubles(rows);
    this.segmentLength = doubles(rows);
    this.op = integers(entries);
    this.fd = integers(entries);
    this.flags = integers(entries);
    this.segments = integers(entries);
    this.segmentHandle = integers(rows);
    this.queue = integers(entries);
    this.completions = integers(2 * entries);
    this.poolWords = integers(PoolWord.count);
  }

  /** Fills in one row of a slot's segments. */
  setSegment(slot: number, index: number, handle: number, offset: number, length: number): void {
    const row = slot * this.maxSegments + index;
    this.segmentHandle[row] = handle;
    this.segmentOffset[row] = offset;
    this.segmentLength[row] = length;
  }
}

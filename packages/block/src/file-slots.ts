import type { BlockRequest } from './backend.ts';

/** What a slot waits for. */
export type Phase =
  /** A read or write of the guest's memory in place, or a part of one. */
  | 'transfer'
  /** A part of one through a bounce buffer: the old contents for a write, the contents for a read, the write. */
  | 'fill'
  | 'bounceRead'
  | 'bounceWrite'
  | 'punch'
  | 'zeroRange'
  | 'zeroOut'
  | 'zeroWrite'
  | 'discard'
  | 'flush'
  /** The flush that makes a request durable where the request could not say so itself. */
  | 'sync';

/** Requests at the file: one column per field, one row per slot of the ring. */
export class FileSlots {
  readonly request: (BlockRequest | null)[];
  readonly phase: Phase[];
  /** Bytes of the request that are done. */
  readonly progress: Float64Array;
  /** The segment that is next, and how much of it is done. */
  readonly segment: Int32Array;
  readonly segmentOffset: Float64Array;
  /** Offset of the slot's bounce buffer, or -1; the part of the file in it, and how much of that was transferred. */
  readonly bounce: Int32Array;
  readonly bounceStart: Float64Array;
  readonly bounceBytes: Float64Array;
  readonly bounceDone: Float64Array;
  /** In which table of ranges the slot has or awaits one; 0 is none. */
  readonly locked: Uint8Array;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(count: number) {
    this.request = new Array<BlockRequest | null>(count).fill(null);
    this.phase = new Array<Phase>(count).fill('transfer');
    this.progress = new Float64Array(count);
    this.segment = new Int32Array(count);
    this.segmentOffset = new Float64Array(count);
    this.bounce = new Int32Array(count).fill(-1);
    this.bounceStart = new Float64Array(count);
    this.bounceBytes = new Float64Array(count);
    this.bounceDone = new Float64Array(count);
    this.locked = new Uint8Array(count);
    this.#free = new Int32Array(count);
    for (let slot = 0; slot < count; slot++) this.#free[slot] = count - 1 - slot;
    this.#freeCount = count;
  }

  get free(): number {
    return this.#freeCount;
  }

  take(request: BlockRequest): number {
    const slot = this.#free[--this.#freeCount]!;
    this.request[slot] = request;
    request.slot = slot;
    this.progress[slot] = 0;
    this.segment[slot] = 0;
    this.segmentOffset[slot] = 0;
    return slot;
  }

  give(slot: number): void {
    this.request[slot]!.slot = -1;
    this.request[slot] = null;
    this.#free[this.#freeCount++] = slot;
  }

  /** Counts transferred bytes, and moves to the segment that comes next. */
  advance(slot: number, lengthBytes: number): void {
    this.progress[slot] = this.progress[slot]! + lengthBytes;
    const segments = this.request[slot]!.segments;
    if (segments === null) return;
    let offset = this.segmentOffset[slot]! + lengthBytes;
    let index = this.segment[slot]!;
    while (index < segments.count && offset >= segments.length[index]!) offset -= segments.length[index++]!;
    this.segment[slot] = index;
    this.segmentOffset[slot] = offset;
  }
}

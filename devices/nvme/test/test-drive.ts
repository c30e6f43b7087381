import type { BlockBackend, BlockGeometry, BlockRequest, DurableFile, RangeHold } from '@sidecard/block';

/** A drive in memory that a test slows down, breaks, and looks into. */
export class TestDrive implements BlockBackend {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly description: string;
  readonly bytes: Uint8Array;
  /** Every request, in the order in which it came. */
  readonly seen: { operation: string; offset: number; lengthBytes: number; fua: boolean; mayDeallocate: boolean }[] =
    [];
  /** Requests end from `poll`, in an order that only a seed knows; else inside submit. */
  slow = false;
  /** Requests stay until this is false again. */
  stalled = false;
  /** The errno of a request, or 0. */
  fail: (request: BlockRequest) => number = () => 0;
  closed = false;
  readonly #waiting: BlockRequest[] = [];
  #held: BlockRequest[] = [];
  #random: () => number;

  constructor(sizeBytes: number, options: Partial<BlockGeometry> & { seed?: number } = {}) {
    const { seed = 1, ...geometry } = options;
    this.geometry = {
      sizeBytes,
      alignmentBytes: 1,
      discardGranularityBytes: 4096,
      readOnly: false,
      volatileCache: true,
      discardReadsZeroes: true,
      ...geometry,
    };
    this.identitySeed = new Uint8Array(32).fill(seed);
    this.description = `test drive ${seed}`;
    this.bytes = new Uint8Array(sizeBytes);
    this.#random = generator(seed);
  }

  get inFlight(): number {
    return this.#waiting.length + this.#held.length;
  }

  submit(request: BlockRequest): boolean {
    const { operation, offset, lengthBytes, fua, mayDeallocate } = request;
    this.seen.push({ operation, offset, lengthBytes, fua, mayDeallocate });
    if (this.slow || this.stalled) {
      this.#held.push(request);
      return false;
    }
    this.#run(request);
    return true;
  }

  commit(): void {
    this.#waiting.push(...this.#held);
    this.#held = [];
  }

  poll(): boolean {
    if (this.stalled || this.#waiting.length === 0) return false;
    const index = Math.floor(this.#random() * this.#waiting.length);
    const request = this.#waiting.splice(index, 1)[0]!;
    this.#run(request);
    request.done();
    return true;
  }

  hold(_hold: RangeHold): boolean {
    return true;
  }

  letGo(_hold: RangeHold): void {}

  remeasure(): boolean {
    return false;
  }

  beside(_suffix: string): DurableFile | null {
    return null;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  #run(request: BlockRequest): void {
    request.error = this.fail(request);
    if (request.error !== 0) return;
    const { operation, offset, lengthBytes } = request;
    if (operation === 'writeZeroes' || operation === 'discard') this.bytes.fill(0, offset, offset + lengthBytes);
    if (operation === 'read' || operation === 'write') this.#copy(request);
  }

  #copy(request: BlockRequest): void {
    const segments = request.segments!;
    if (segments.lengthBytes !== request.lengthBytes) throw new Error('a request is not as long as its segments');
    let position = request.offset;
    for (let index = 0; index < segments.count; index++) {
      const area = segments.area[index]!.bytes;
      const [begin, length] = [segments.offset[index]!, segments.length[index]!];
      if (request.operation === 'read') area.set(this.bytes.subarray(position, position + length), begin);
      else this.bytes.set(area.subarray(begin, begin + length), position);
      position += length;
    }
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

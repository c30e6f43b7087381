import {
  type BlockBackend,
  type BlockGeometry,
  type BlockRequest,
  DurableFile,
  type RangeHold,
  RangeHolds,
  RangeLocks,
} from '@sidecard/block';
import { generator } from '@sidecard/testing';

/** Requests that have or want a range at once; more than a controller has commands. */
const rangeSlots = 4096;

/** A drive in memory that a test slows down, breaks, and looks into. */
export class TestDrive implements BlockBackend {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly description: string;
  bytes: Uint8Array;
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
  /** What is beside it, whatever the suffix. */
  file: DurableFile | null = null;
  failure: string | null = null;
  /** The path of the image that it stands for, beside which there can be files; null: nothing lasts. */
  image: string | null = null;
  readonly #files = new Map<string, DurableFile>();
  readonly #waiting: BlockRequest[] = [];
  readonly #locks = new RangeLocks(rangeSlots);
  readonly #holds = new RangeHolds(this.#locks, (slot) => this.#granted(slot));
  /** Those that have or want a range, by their slot. */
  readonly #ranged: (BlockRequest | null)[] = new Array<BlockRequest | null>(rangeSlots).fill(null);
  /** How many of them have to wait for it. */
  #locked = 0;
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
    return this.#waiting.length + this.#held.length + this.#locked;
  }

  submit(request: BlockRequest): boolean {
    const { operation, offset, lengthBytes, fua, mayDeallocate } = request;
    this.seen.push({ operation, offset, lengthBytes, fua, mayDeallocate });
    if (request.under !== null) this.#holds.check(request, request.under);
    if (!this.#hasRange(request)) {
      this.#locked++;
      return false;
    }
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
    this.#holds.grant();
    request.done();
    return true;
  }

  hold(hold: RangeHold): boolean {
    return this.#holds.take(hold, hold.offset, hold.lengthBytes);
  }

  letGo(hold: RangeHold): void {
    this.#holds.give(hold);
    this.#holds.grant();
  }

  remeasure(): boolean {
    if (this.bytes.length === this.geometry.sizeBytes) return false;
    this.geometry.sizeBytes = this.bytes.length;
    return true;
  }

  /** Somebody has grown or cut it; nobody has looked yet. */
  resize(sizeBytes: number): void {
    const bytes = new Uint8Array(sizeBytes);
    bytes.set(this.bytes.subarray(0, sizeBytes));
    this.bytes = bytes;
  }

  async setSize(sizeBytes: number): Promise<void> {
    this.resize(sizeBytes);
    this.geometry.sizeBytes = sizeBytes;
  }

  beside(suffix: string): DurableFile | null {
    if (this.file !== null || this.image === null) return this.file;
    const file = this.#files.get(suffix) ?? new DurableFile(this.image + suffix);
    this.#files.set(suffix, file);
    return file;
  }

  clearFailure(): void {
    this.failure = null;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  /** Whether it has the range that it writes; else it is had later. */
  #hasRange(request: BlockRequest): boolean {
    const { operation, offset, lengthBytes, under } = request;
    if (operation === 'read' || operation === 'flush' || under !== null) return true;
    request.slot = this.#ranged.indexOf(null);
    this.#ranged[request.slot] = request;
    return this.#locks.take(request.slot, offset, lengthBytes, false);
  }

  #granted(slot: number): void {
    this.#locked--;
    this.#waiting.push(this.#ranged[slot]!);
  }

  #run(request: BlockRequest): void {
    if (request.slot >= 0) {
      this.#locks.release(request.slot);
      this.#ranged[request.slot] = null;
      request.slot = -1;
    }
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

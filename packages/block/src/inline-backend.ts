import type { BlockBackend, BlockGeometry, BlockRequest } from './backend.ts';
import { RangeHold } from './backend.ts';
import type { DriveOptions } from './drive.ts';
import type { DurableFile } from './durable-file.ts';
import { EINVAL, EROFS } from './errno.ts';
import { RangeHolds } from './range-holds.ts';
import { RangeLocks } from './range-locks.ts';
import { formatSize } from './size.ts';

/** A drive that is done with each request when it has been submitted, unless somebody holds its range: memory and null. */
export abstract class InlineBackend implements BlockBackend {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly #name: string;
  readonly failure = null;
  inFlight = 0;
  /** Of holds alone: a request has its range for no longer than submit takes, and as a hold of its own where it has to wait. */
  readonly #holds = new RangeHolds(new RangeLocks(0), () => {});
  #pool: WaitingRequest[] = [];

  constructor(options: DriveOptions, identitySeed: Uint8Array, name: string) {
    this.identitySeed = identitySeed;
    this.#name = name;
    this.geometry = {
      sizeBytes: options.sizeBytes!,
      alignmentBytes: 1,
      discardGranularityBytes: 4096,
      readOnly: options.readOnly,
      volatileCache: false,
      discardReadsZeroes: options.discard === 'unmap',
    };
  }

  get description(): string {
    return `${this.#name}, ${formatSize(this.geometry.sizeBytes)}`;
  }

  submit(request: BlockRequest): boolean {
    const { operation, offset, lengthBytes } = request;
    if (operation === 'flush') request.error = 0;
    else if (operation !== 'read' && this.geometry.readOnly) request.error = EROFS;
    else if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.geometry.sizeBytes))
      request.error = EINVAL;
    else if (this.#holds.count > 0 && !this.#hasRange(request)) return false;
    else request.error = this.run(request);
    return true;
  }

  commit(): void {}

  hold(hold: RangeHold): boolean {
    return this.#holds.take(hold, hold.offset, hold.lengthBytes);
  }

  letGo(hold: RangeHold): void {
    this.#holds.give(hold);
    if (this.#holds.count > 0) this.#holds.grant();
  }

  remeasure(): boolean {
    return false;
  }

  async setSize(sizeBytes: number): Promise<void> {
    this.geometry.sizeBytes = sizeBytes;
  }

  beside(_suffix: string): DurableFile | null {
    return null;
  }

  clearFailure(): void {}

  poll(): boolean {
    return false;
  }

  async close(): Promise<void> {}

  /** Does a request that is inside the drive; 0 or an errno. */
  protected abstract run(request: BlockRequest): number;

  #hasRange(request: BlockRequest): boolean {
    if (request.under !== null) this.#holds.check(request, request.under);
    if (request.under !== null || request.operation === 'read') return true;
    const waiting = this.#pool.pop() ?? new WaitingRequest((ended) => this.#resume(ended));
    waiting.offset = request.offset;
    waiting.lengthBytes = request.lengthBytes;
    if (this.#holds.take(waiting, waiting.offset, waiting.lengthBytes)) {
      this.#release(waiting);
      return true;
    }
    waiting.request = request;
    this.inFlight++;
    return false;
  }

  #resume(waiting: WaitingRequest): void {
    const request = waiting.request!;
    request.error = this.run(request);
    this.#release(waiting);
    this.inFlight--;
    request.done();
  }

  #release(waiting: WaitingRequest): void {
    this.#holds.give(waiting);
    waiting.request = null;
    this.#pool.push(waiting);
  }
}

class WaitingRequest extends RangeHold {
  request: BlockRequest | null = null;
  readonly #resume: (waiting: WaitingRequest) => void;

  constructor(resume: (waiting: WaitingRequest) => void) {
    super();
    this.#resume = resume;
  }

  held(): void {
    this.#resume(this);
  }
}

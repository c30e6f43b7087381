import type { BlockGeometry, BlockOperation, BlockRequest, RangeHold } from '@sidecard/block';
import { TestDrive } from '../test-drive.ts';

/** A request that was told to fail, until the model has seen which command it failed. */
export interface DriveError {
  readonly operation: BlockOperation;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly errno: number;
}

/** Bytes that a slow request moves in one turn: whole blocks, since those are written as a whole (Identify's AWUN). */
const PIECE = 4096;

/**
 * A drive that takes its time, does requests in any order and in pieces, and remembers what a loss of power would leave. Under the rules of
 * `BlockBackend`: a range that is held is its holder's alone.
 */
export class ModelDrive extends TestDrive {
  readonly durable: Uint8Array;
  /** How many of the next requests fail, and how. */
  failNext = 0;
  errno = 5;
  /** Failures that no command has been blamed for. */
  readonly errors: DriveError[] = [];
  readonly #random: () => number;
  readonly #requests: Job[] = [];
  #held: Job[] = [];
  /** Ranges held and waited for, in order. */
  readonly #holds: { readonly hold: RangeHold; granted: boolean }[] = [];

  constructor(sizeBytes: number, seed: number, geometry: Partial<BlockGeometry>, random: () => number) {
    super(sizeBytes, { ...geometry, seed });
    this.durable = new Uint8Array(sizeBytes);
    this.#random = random;
  }

  override get inFlight(): number {
    return this.#requests.length + this.#held.length;
  }

  override submit(request: BlockRequest): boolean {
    const job = new Job(request);
    if (this.slow || this.stalled || this.#blocked(request)) {
      this.#held.push(job);
      return false;
    }
    while (!this.#advance(job));
    return true;
  }

  override commit(): void {
    this.#requests.push(...this.#held);
    this.#held = [];
  }

  override poll(): boolean {
    if (this.stalled) return false;
    if (this.#grant()) return true;
    const ready = this.#requests.filter((job) => job.begun || !this.#blocked(job.request));
    const job = ready[Math.floor(this.#random() * ready.length)];
    if (job === undefined) return false;
    if (this.#advance(job)) {
      this.#requests.splice(this.#requests.indexOf(job), 1);
      job.request.done();
    }
    return true;
  }

  override hold(hold: RangeHold): boolean {
    const entry = { hold, granted: false };
    this.#holds.push(entry);
    entry.granted = !this.slow && this.#grantable(entry);
    return entry.granted;
  }

  override letGo(hold: RangeHold): void {
    const at = this.#holds.findIndex((entry) => entry.hold === hold);
    if (at >= 0) this.#holds.splice(at, 1);
  }

  #grant(): boolean {
    const entry = this.#holds.find((one) => !one.granted && this.#grantable(one));
    if (entry === undefined) return false;
    entry.granted = true;
    entry.hold.held();
    return true;
  }

  /** Nobody before it has the range, and no write in it is under way. */
  #grantable(entry: { readonly hold: RangeHold }): boolean {
    const before = this.#holds.slice(0, this.#holds.indexOf(entry as never));
    const busy = this.#requests.some(({ request, begun }) => begun && changes(request) && overlap(request, entry.hold));
    return !busy && !before.some(({ hold }) => overlap(hold, entry.hold));
  }

  #blocked(request: BlockRequest): boolean {
    // Whoever has the range waits for nobody.
    if (request.under !== null || !changes(request)) return false;
    return this.#holds.some(({ hold }) => overlap(hold, request));
  }

  /** Does some of it; true when it has ended. */
  #advance(job: Job): boolean {
    const { request } = job;
    if (!job.begun) {
      job.begun = true;
      job.errno = this.#fate(request);
      // It fails somewhere on its way.
      job.end =
        job.errno === 0 ? request.lengthBytes : Math.floor((this.#random() * request.lengthBytes) / PIECE) * PIECE;
    }
    const until = Math.min(job.end, job.position + PIECE);
    if (request.operation === 'flush') {
      if (job.errno === 0) this.durable.set(this.bytes);
    } else if (request.operation === 'read' || request.operation === 'write') {
      this.#move(request, job.position, until);
    } else {
      this.bytes.fill(0, request.offset + job.position, request.offset + until);
    }
    job.position = until;
    if (until < job.end) return false;
    request.error = job.errno;
    const { offset, lengthBytes } = request;
    const lasts = request.fua || !this.geometry.volatileCache;
    if (job.errno === 0 && lasts && changes(request)) {
      this.durable.set(this.bytes.subarray(offset, offset + lengthBytes), offset);
    }
    return true;
  }

  #fate(request: BlockRequest): number {
    if (this.failNext === 0) return 0;
    this.failNext--;
    const { operation, offset, lengthBytes } = request;
    this.errors.push({ operation, offset, lengthBytes, errno: this.errno });
    return this.errno;
  }

  #move(request: BlockRequest, from: number, to: number): void {
    const segments = request.segments!;
    if (segments.lengthBytes !== request.lengthBytes) throw new Error('a request is not as long as its segments');
    let position = 0;
    for (let index = 0; index < segments.count; index++) {
      const lengthBytes = segments.length[index]!;
      const begin = Math.max(from, position);
      const end = Math.min(to, position + lengthBytes);
      if (begin < end) {
        const area = segments.area[index]!.bytes;
        const at = segments.offset[index]! + begin - position;
        const disk = request.offset + begin;
        if (request.operation === 'read') area.set(this.bytes.subarray(disk, disk + end - begin), at);
        else this.bytes.set(area.subarray(at, at + end - begin), disk);
      }
      position += lengthBytes;
    }
  }
}

class Job {
  readonly request: BlockRequest;
  begun = false;
  position = 0;
  end = 0;
  errno = 0;

  constructor(request: BlockRequest) {
    this.request = request;
  }
}

interface Range {
  readonly offset: number;
  readonly lengthBytes: number;
}

function overlap(a: Range, b: Range): boolean {
  return a.offset < b.offset + b.lengthBytes && b.offset < a.offset + a.lengthBytes;
}

function changes({ operation }: BlockRequest): boolean {
  return operation === 'write' || operation === 'writeZeroes' || operation === 'discard';
}

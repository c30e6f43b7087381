import { constants } from 'node:os';
import { RequestOp } from '../constants.ts';
import type { Ring } from '../ring.ts';
import { RingColumns } from '../ring-columns.ts';
import type { DescriptorTable } from './descriptors.ts';
import type { FakeEvent } from './event.ts';
import { FakeFile } from './file.ts';
import type { FakeMapping, MappingTable } from './mappings.ts';

const { EBADF, EBUSY, EFAULT, EINVAL, EOPNOTSUPP } = constants.errno;

/** A request in flight: a copy of its row. */
export interface FakeRequest {
  readonly slot: number;
  readonly op: number;
  readonly fd: number;
  readonly flags: number;
  readonly position: number;
  readonly length: number;
  readonly pieces: readonly { readonly mapping: FakeMapping; readonly bytes: Uint8Array }[];
  /** What is wrong with it, 0 or a negative errno. */
  readonly error: number;
}

export interface RingPolicy {
  /**
   * When requests take effect and complete: in submit; on a later turn of the event loop; on later turns, some at a time
   * and in any order; or only when `release` is called.
   */
  completion: 'now' | 'later' | 'shuffled' | 'held';
  /** A number from 0 to 1 for 'shuffled'. */
  random: () => number;
  /** Called when a request is about to run: a negative errno fails it, a positive number cuts a transfer to so many bytes. */
  intercept: ((request: FakeRequest) => number | undefined) | null;
}

/** The rest of the world, as a ring sees it. */
export interface RingWorld {
  readonly descriptors: DescriptorTable;
  readonly mappings: MappingTable;
  readonly policy: RingPolicy;
  changed(): void;
}

/** A ring whose completions come when the test wants them. */
export class FakeRing extends RingColumns implements Ring {
  readonly kind = 'fake';
  readonly eventFd: number;
  readonly #event: FakeEvent;
  readonly #world: RingWorld;
  readonly #busy: Uint8Array;
  #waiting: FakeRequest[] = [];
  #done: { slot: number; result: number; pieces: FakeRequest['pieces'] }[] = [];
  #armed = true;
  #scheduled = false;

  constructor(world: RingWorld, event: FakeEvent, entries: number, maxSegments: number) {
    super(entries, maxSegments);
    this.#world = world;
    this.#event = event;
    this.#busy = new Uint8Array(entries);
    this.eventFd = world.descriptors.add(event);
  }

  get inFlight(): number {
    return this.#waiting.length + this.#done.length;
  }

  /** Submitted and not yet run. */
  get waiting(): readonly FakeRequest[] {
    return this.#waiting;
  }

  submit(count: number): number {
    const slots = [...this.queue.subarray(0, count)];
    if (count > this.entries || slots.some((slot) => slot < 0 || slot >= this.entries)) return -EINVAL;
    if (new Set(slots).size < count || slots.some((slot) => this.#busy[slot])) return -EBUSY;
    for (const slot of slots) {
      this.#busy[slot] = 1;
      const request = this.#load(slot);
      for (const piece of request.pieces) piece.mapping.inFlight++;
      this.#waiting.push(request);
    }
    if (this.#world.policy.completion === 'now') this.release();
    else this.#schedule();
    return 0;
  }

  poll(): number {
    const count = this.#done.length;
    this.#done.forEach(({ slot, result, pieces }, index) => {
      this.completions[2 * index] = slot;
      this.completions[2 * index + 1] = result;
      this.#busy[slot] = 0;
      for (const piece of pieces) piece.mapping.inFlight--;
    });
    this.#done = [];
    return count;
  }

  arm(): boolean {
    this.#armed = true;
    return this.#done.length === 0;
  }

  disarm(): void {
    this.#armed = false;
  }

  close(): void {
    this.release();
    this.poll();
    this.#world.descriptors.close(this.eventFd);
  }

  /** Runs these requests, in this order; all that wait, in order, unless told. */
  release(slots: readonly number[] = this.#waiting.map((request) => request.slot)): void {
    for (const slot of slots) {
      const index = this.#waiting.findIndex((request) => request.slot === slot);
      if (index < 0) continue;
      const [request] = this.#waiting.splice(index, 1);
      this.#done.push({ slot, result: this.#run(request!), pieces: request!.pieces });
      if (this.#armed) this.#event.signal();
    }
    this.#world.changed();
  }

  #schedule(): void {
    const { completion } = this.#world.policy;
    if (this.#scheduled || completion === 'held' || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.release(completion === 'shuffled' ? this.#draw() : undefined);
      this.#schedule();
    });
  }

  #draw(): number[] {
    const { random } = this.#world.policy;
    return this.#waiting
      .map((request) => ({ slot: request.slot, rank: random() }))
      .filter(({ rank }) => rank < 0.5)
      .sort((a, b) => a.rank - b.rank)
      .map(({ slot }) => slot);
  }

  #load(slot: number): FakeRequest {
    const op = this.op[slot]!;
    const transfers = op === RequestOp.read || op === RequestOp.write;
    const count = transfers ? this.segments[slot]! : 0;
    const pieces: { mapping: FakeMapping; bytes: Uint8Array }[] = [];
    let error = op < RequestOp.read || op > RequestOp.zeroOut || !(this.position[slot]! >= 0) ? -EINVAL : 0;
    if (transfers && (count < 1 || count > this.maxSegments)) error = -EINVAL;
    for (let row = slot * this.maxSegments; error === 0 && pieces.length < count; row++) {
      const handle = this.segmentHandle[row]!;
      const bytes = this.#world.mappings.range(handle, this.segmentOffset[row]!, this.segmentLength[row]!);
      if (bytes === undefined) error = -EFAULT;
      else pieces.push({ mapping: this.#world.mappings.get(handle)!, bytes });
    }
    const [fd, flags] = [this.fd[slot]!, this.flags[slot]!];
    return { slot, op, fd, flags, position: this.position[slot]!, length: this.length[slot]!, pieces, error };
  }

  #run(request: FakeRequest): number {
    if (request.error < 0) return request.error;
    const limit = this.#world.policy.intercept?.(request);
    if (limit !== undefined && limit < 0) return limit;
    const file = this.#world.descriptors.as(request.fd, FakeFile);
    if (file === undefined) return -EBADF;
    if (request.op === RequestOp.flush) return 0;
    if (request.op === RequestOp.fallocate) return file.fallocate(request.flags, request.position, request.length);
    if (request.op > RequestOp.fallocate) return -EOPNOTSUPP;
    return transfer(file, request, limit ?? Number.POSITIVE_INFINITY);
  }
}

function transfer(file: FakeFile, request: FakeRequest, limit: number): number {
  let total = 0;
  for (const { bytes } of request.pieces) {
    const piece = bytes.subarray(0, Math.max(0, Math.min(bytes.length, limit - total)));
    const position = request.position + total;
    const result = request.op === RequestOp.read ? file.read(piece, position) : file.write(piece, position);
    if (result < 0) return total > 0 ? total : result;
    total += result;
    if (result < bytes.length) break;
  }
  return total;
}

import {
  CQE_BYTES,
  type Doorbells,
  decodeCompletion,
  encodeCommand,
  type NvmeCompletion,
  SQE_BYTES,
} from '@sidecard/testing';
import { type GuestPages, type Opened, PAGE } from './guest-pages.ts';
import type { Pending } from './pending.ts';
import { must } from './violation.ts';

/** Being created, there, being deleted: in the first and the last its commands are nobody's to count on. */
export type RingState = 'creating' | 'live' | 'deleting';

/** A completion queue of the driver's side (NVMe Base 2.0, 3.3.1.2). */
export class CompletionRing {
  readonly id: number;
  readonly entries: number;
  readonly iova: number;
  /** Null: without interrupts. */
  readonly vector: number | null;
  doorbells: Doorbells;
  state: RingState = 'creating';
  head = 0;
  #phase = 1;
  readonly #memory: GuestPages;
  readonly #opened: Opened;

  constructor(memory: GuestPages, iova: number, id: number, entries: number, vector: number | null, bells: Doorbells) {
    this.#memory = memory;
    this.id = id;
    this.entries = entries;
    this.iova = iova;
    this.vector = vector;
    this.doorbells = bells;
    memory.store(iova, new Uint8Array(entries * CQE_BYTES));
    this.#opened = memory.open(iova, entries * CQE_BYTES);
  }

  /** Takes up to `most` entries, and says so. */
  reap(most: number): NvmeCompletion[] {
    const taken: NvmeCompletion[] = [];
    const before = this.head;
    while (taken.length < most && this.#ready) {
      taken.push(decodeCompletion(this.#memory.ram.load(this.iova + this.head * CQE_BYTES, CQE_BYTES)));
      this.head = (this.head + 1) % this.entries;
      if (this.head === 0) this.#phase ^= 1;
    }
    if (taken.length > 0) this.doorbells.head(this.id, this.head, before);
    return taken;
  }

  /** There is an entry to take. */
  get ready(): boolean {
    return this.#ready;
  }

  get #ready(): boolean {
    return ((this.#memory.ram.word(this.iova + this.head * CQE_BYTES + 12) >>> 16) & 1) === this.#phase;
  }

  free(): void {
    this.#memory.close(this.#opened);
    giveRow(this.#memory, this.iova, this.entries * CQE_BYTES);
  }
}

/** A submission queue of the driver's side (3.3.1.1), and the commands in it. */
export class SubmissionRing {
  readonly id: number;
  readonly entries: number;
  readonly iova: number;
  readonly completions: CompletionRing;
  doorbells: Doorbells;
  state: RingState = 'creating';
  readonly pending = new Map<number, Pending>();
  #tail = 0;
  #rung = 0;
  #head = 0;
  #nextCid = 0;
  readonly #memory: GuestPages;

  constructor(memory: GuestPages, iova: number, id: number, entries: number, cq: CompletionRing, bells: Doorbells) {
    this.#memory = memory;
    this.id = id;
    this.entries = entries;
    this.iova = iova;
    this.completions = cq;
    this.doorbells = bells;
  }

  /** Commands that it takes now. */
  get room(): number {
    return this.entries - 1 - this.#distance(this.#head, this.#tail);
  }

  get full(): boolean {
    return this.room === 0;
  }

  push(command: Pending): void {
    const cid = this.#freshCid();
    command.cid = cid;
    this.pending.set(cid, command);
    this.#memory.store(this.iova + this.#tail * SQE_BYTES, encodeCommand(command.sqe, cid));
    this.#tail = (this.#tail + 1) % this.entries;
  }

  ring(): void {
    if (this.#tail === this.#rung) return;
    this.doorbells.tail(this.id, this.#tail, this.#rung);
    this.#rung = this.#tail;
  }

  /** The command that has completed. */
  take(completion: NvmeCompletion): Pending {
    const { cid, sqhd } = completion;
    const command = this.pending.get(cid);
    must(command !== undefined, () => `queue ${this.id} completes ${cid}, which it does not have`);
    const fetched = this.#distance(this.#head, sqhd);
    const rung = this.#distance(this.#head, this.#rung);
    must(sqhd < this.entries && fetched <= rung, () => `queue ${this.id}: SQHD ${sqhd} is beyond tail ${this.#rung}`);
    this.#head = sqhd;
    this.pending.delete(cid);
    return command;
  }

  free(): void {
    giveRow(this.#memory, this.iova, this.entries * SQE_BYTES);
  }

  #distance(from: number, to: number): number {
    return (to - from + this.entries) % this.entries;
  }

  #freshCid(): number {
    while (this.pending.has(this.#nextCid)) this.#nextCid = (this.#nextCid + 1) % 0xffff;
    return this.#nextCid++;
  }
}

function giveRow(memory: GuestPages, iova: number, lengthBytes: number): void {
  for (let at = 0; at < lengthBytes; at += PAGE) memory.give(iova + at);
}

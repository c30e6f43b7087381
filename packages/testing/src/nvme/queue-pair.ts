import type { Ram } from '../guest-ram.ts';
import type { InterruptVector } from '../pci/interrupt-vector.ts';
import { type Turning, until } from '../until.ts';
import {
  CQE_BYTES,
  decodeCompletion,
  encodeCommand,
  type NvmeCommand,
  type NvmeCompletion,
  SQE_BYTES,
} from './command.ts';
import type { Doorbells } from './doorbells.ts';

export interface QueuePairOptions {
  readonly id: number;
  readonly entries: number;
  /** Completions are looked for when it has arrived; null: whenever somebody waits. */
  readonly vector: InterruptVector | null;
}

/** A submission queue with a completion queue of its own, of the driver's side. */
export class QueuePair {
  readonly id: number;
  readonly entries: number;
  readonly sqIova: number;
  readonly cqIova: number;
  readonly vector: InterruptVector | null;
  doorbells: Doorbells;
  tail = 0;
  head = 0;
  /** Where the controller has fetched to, as the last completion says. */
  sqHead = 0;
  readonly #ram: Ram;
  readonly #side: Turning;
  readonly #forgetHandler: (() => void) | undefined;
  #phase = 1;
  #rung = 0;
  #nextCid = 0;
  readonly #waiting = new Map<number, NvmeCompletion | null>();
  /** Completions of commands that nobody had submitted, or that were completed before. */
  readonly strays: NvmeCompletion[] = [];

  constructor(ram: Ram, side: Turning, doorbells: Doorbells, options: QueuePairOptions) {
    this.#ram = ram;
    this.#side = side;
    this.doorbells = doorbells;
    this.id = options.id;
    this.entries = options.entries;
    this.vector = options.vector;
    this.sqIova = ram.allocate(this.entries * SQE_BYTES);
    this.cqIova = ram.allocate(this.entries * CQE_BYTES);
    this.#forgetHandler = this.vector?.handle(() => this.reap());
  }

  /** Commands submitted and not completed. */
  get inFlight(): number {
    let count = 0;
    for (const completion of this.#waiting.values()) if (completion === null) count++;
    return count;
  }

  get full(): boolean {
    return (this.tail + 1) % this.entries === this.sqHead;
  }

  /** Puts a command into the queue without ringing; its cid. @throws when the queue is full. */
  push(command: NvmeCommand): number {
    if (this.full) throw new Error(`submission queue ${this.id} is full`);
    const cid = command.cid ?? this.#freshCid();
    this.#waiting.set(cid, null);
    this.#ram.store(this.sqIova + this.tail * SQE_BYTES, encodeCommand(command, cid));
    this.tail = (this.tail + 1) % this.entries;
    return cid;
  }

  /** Tells the controller of all commands pushed. */
  ring(): void {
    this.doorbells.tail(this.id, this.tail, this.#rung);
    this.#rung = this.tail;
  }

  submit(command: NvmeCommand): number {
    const cid = this.push(command);
    this.ring();
    return cid;
  }

  /** Takes what has completed; how many. */
  reap(): number {
    const before = this.head;
    let count = 0;
    for (; count < this.entries; count++) {
      const at = this.cqIova + this.head * CQE_BYTES;
      if (((this.#ram.word(at + 12) >>> 16) & 1) !== this.#phase) break;
      this.#take(decodeCompletion(this.#ram.load(at, CQE_BYTES)));
      this.head = (this.head + 1) % this.entries;
      if (this.head === 0) this.#phase ^= 1;
    }
    if (count > 0) this.doorbells.head(this.id, this.head, before);
    return count;
  }

  /** The completion of a command, if it has come: as its interrupt says, or by looking. */
  poll(cid: number): NvmeCompletion | null {
    if (this.vector === null) this.reap();
    else this.vector.serve();
    return this.#waiting.get(cid) ?? null;
  }

  /** The completion of a command. @throws after `timeoutMs`. */
  async completion(cid: number, timeoutMs?: number): Promise<NvmeCompletion> {
    const what = `command ${cid} of queue ${this.id}`;
    await until(this.#side, () => this.poll(cid) !== null, what, timeoutMs);
    const completion = this.#waiting.get(cid)!;
    this.#waiting.delete(cid);
    return completion;
  }

  /** Gives the memory back. */
  free(): void {
    this.#forgetHandler?.();
    this.#ram.free(this.sqIova);
    this.#ram.free(this.cqIova);
  }

  #take(completion: NvmeCompletion): void {
    this.sqHead = completion.sqhd;
    if (this.#waiting.get(completion.cid) === null) this.#waiting.set(completion.cid, completion);
    else this.strays.push(completion);
  }

  #freshCid(): number {
    while (this.#waiting.has(this.#nextCid)) this.#nextCid = (this.#nextCid + 1) % 0xffff;
    const cid = this.#nextCid;
    this.#nextCid = (cid + 1) % 0xffff;
    return cid;
  }
}

import { setImmediate } from 'node:timers/promises';
import { type NvmeDriver, NvmOpcode, type QueuePair } from '@sidecard/testing';
import { expect } from 'vitest';

const regionBytes = 4096;
const blocks = regionBytes / 512;

/** One command at a time, in a region of each namespace that nobody else touches. */
interface Slot {
  readonly lba: number;
  readonly iova: number;
  /** By namespace: the values, a byte each, that the region may be filled with. */
  readonly values: Map<number, number[]>;
  /** Under way, with the namespace and what it writes; null for a read. */
  cid: number | null;
  nsid: number;
  writes: number | null;
}

/**
 * I/O at full depth of a queue, in namespaces of which one stays and others come and go. Each command is accounted for: it ends once, with
 * success or, where a namespace has gone, with Invalid Field; and what is read is what was written and acknowledged last.
 */
export class Storm {
  /** Statuses of commands that have ended, by namespace and status. */
  readonly ended = new Map<string, number>();
  readonly #driver: NvmeDriver;
  readonly #staying: readonly number[];
  readonly #nsids: readonly number[];
  readonly #random: () => number;
  readonly #slots: Slot[];
  #queue: QueuePair;
  #value = 0;

  constructor(
    driver: NvmeDriver,
    queue: QueuePair,
    { staying, coming, random }: { staying: readonly number[]; coming: readonly number[]; random: () => number },
  ) {
    this.#driver = driver;
    this.#queue = queue;
    this.#staying = staying;
    this.#nsids = [...staying, ...coming];
    this.#random = random;
    this.#slots = Array.from({ length: queue.entries - 1 }, (_, index) => ({
      lba: index * blocks,
      iova: driver.ram.allocate(regionBytes),
      values: new Map(this.#nsids.map((nsid) => [nsid, [0]])),
      cid: null,
      nsid: 0,
      writes: null,
    }));
  }

  get inFlight(): number {
    return this.#slots.filter(({ cid }) => cid !== null).length;
  }

  /** How many commands in a namespace have ended with a status. */
  count(nsid: number, status: number): number {
    return this.ended.get(`${nsid}: ${status}`) ?? 0;
  }

  /** Another drive is in that place: nothing is known of it but that it is zeroes. */
  replaced(nsid: number): void {
    for (const { values } of this.#slots) values.set(nsid, [0]);
  }

  /** What the region of a slot may be filled with. */
  values(nsid: number): readonly (readonly number[])[] {
    return this.#slots.map(({ values }) => values.get(nsid)!);
  }

  /** Goes on until something is there. */
  async until<T>(wanted: () => T | null | undefined | false, what: string): Promise<T> {
    for (const end = Date.now() + 20_000; ; ) {
      const found = wanted();
      if (found) return found;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
      await this.turn();
      await setImmediate();
    }
  }

  /** Looks at what has ended, and submits as much as there is room for. */
  async turn(submit = true): Promise<void> {
    const queue = this.#queue;
    this.#driver.function.port.turn();
    for (const slot of this.#slots) if (slot.cid !== null && queue.poll(slot.cid) !== null) await this.#end(slot);
    expect(queue.strays).toEqual([]);
    if (!submit) return;
    for (const slot of this.#slots) if (slot.cid === null && !queue.full) this.#submit(slot);
    queue.ring();
  }

  /** Every command that is under way ends. */
  async settle(): Promise<void> {
    for (const end = Date.now() + 20_000; this.inFlight > 0; ) {
      if (Date.now() > end) throw new Error(`${this.inFlight} commands do not end`);
      await this.turn(false);
      await setImmediate();
    }
  }

  /** A reset: commands under way are gone, and may have been executed. */
  reset(queue: QueuePair): void {
    for (const slot of this.#slots) {
      if (slot.cid !== null && slot.writes !== null) slot.values.get(slot.nsid)!.push(slot.writes);
      slot.cid = null;
    }
    this.#queue = queue;
  }

  #submit(slot: Slot): void {
    const { ram } = this.#driver;
    slot.nsid = this.#nsids[Math.floor(this.#random() * this.#nsids.length)]!;
    slot.writes = null;
    if (this.#random() < 0.5) {
      this.#value = (this.#value % 255) + 1;
      slot.writes = this.#value;
      ram.store(slot.iova, new Uint8Array(regionBytes).fill(slot.writes));
    }
    slot.cid = this.#queue.push({
      opcode: slot.writes === null ? NvmOpcode.read : NvmOpcode.write,
      nsid: slot.nsid,
      prp1: slot.iova,
      cdw10: slot.lba,
      cdw12: blocks - 1,
    });
  }

  async #end(slot: Slot): Promise<void> {
    const { status } = await this.#queue.completion(slot.cid!);
    const { nsid, writes, values } = slot;
    slot.cid = null;
    const key = `${nsid}: ${status}`;
    this.ended.set(key, (this.ended.get(key) ?? 0) + 1);
    if (status !== 0) {
      expect([nsid, status, this.#staying.includes(nsid)]).toEqual([nsid, 2, false]);
      return;
    }
    if (writes !== null) {
      values.set(nsid, [writes]);
      return;
    }
    const found = new Set(this.#driver.ram.load(slot.iova, regionBytes));
    expect(found.size).toBe(1);
    const [value = 0] = found;
    expect([nsid, slot.lba, values.get(nsid)]).toEqual([nsid, slot.lba, expect.arrayContaining([value])]);
    values.set(nsid, [value]);
  }
}

const FREE = 0;
const SHARED = 1;
const EXCLUSIVE = 2;

/**
 * Ranges of a drive that requests in flight hold, by slot. Read-modify-write, compare-and-write, copy and format hold theirs
 * alone; plain writes share. Who has to wait waits in order: nobody overtakes an earlier waiter that overlaps and conflicts.
 */
export class RangeLocks {
  #start: Float64Array;
  #end: Float64Array;
  #mode: Uint8Array;
  /** What a slot that waits wants. */
  #wanted: Uint8Array;
  /** Slots that wait, in order. */
  readonly #waiting: number[] = [];
  /** Exclusive ranges, held or waited for: without any, sharing needs no look. */
  #exclusives = 0;

  constructor(slots: number) {
    this.#start = new Float64Array(slots);
    this.#end = new Float64Array(slots);
    this.#mode = new Uint8Array(slots);
    this.#wanted = new Uint8Array(slots);
  }

  get slots(): number {
    return this.#mode.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether the slot has its range, and does not wait for it. */
  holds(slot: number): boolean {
    return slot >= 0 && this.#mode[slot] !== FREE;
  }

  /** Takes the range for `slot`, or has it wait: then false, and `next` answers it later. */
  take(slot: number, start: number, lengthBytes: number, exclusive: boolean): boolean {
    this.#start[slot] = start;
    this.#end[slot] = start + lengthBytes;
    const mode = exclusive ? EXCLUSIVE : SHARED;
    if (exclusive) this.#exclusives++;
    if (this.#exclusives === 0 || !this.#conflicts(slot, mode, this.#waiting.length)) {
      this.#mode[slot] = mode;
      return true;
    }
    this.#wanted[slot] = mode;
    this.#waiting.push(slot);
    return false;
  }

  /** Gives the range back, or gives up waiting for it. */
  release(slot: number): void {
    let mode = this.#mode[slot]!;
    if (mode === FREE) {
      const at = this.#waiting.indexOf(slot);
      if (at < 0) return;
      mode = this.#wanted[slot]!;
      this.#waiting.splice(at, 1);
    }
    if (mode === EXCLUSIVE) this.#exclusives--;
    this.#mode[slot] = FREE;
  }

  /** A slot that waited and now has its range; -1 when there is none. */
  next(): number {
    for (let i = 0; i < this.#waiting.length; i++) {
      const slot = this.#waiting[i]!;
      if (this.#conflicts(slot, this.#wanted[slot]!, i)) continue;
      this.#waiting.splice(i, 1);
      this.#mode[slot] = this.#wanted[slot]!;
      return slot;
    }
    return -1;
  }

  /** More slots; those there are keep what they have. */
  grow(slots: number): void {
    const grown = <T extends Float64Array | Uint8Array>(column: T, larger: T): T => {
      larger.set(column);
      return larger;
    };
    this.#start = grown(this.#start, new Float64Array(slots));
    this.#end = grown(this.#end, new Float64Array(slots));
    this.#mode = grown(this.#mode, new Uint8Array(slots));
    this.#wanted = grown(this.#wanted, new Uint8Array(slots));
  }

  /** With a range that is held, or with one of the first `earlier` waiters. */
  #conflicts(slot: number, mode: number, earlier: number): boolean {
    for (let other = 0; other < this.#mode.length; other++) {
      if (other !== slot && this.#mode[other] !== FREE && this.#clash(slot, mode, other, this.#mode[other]!))
        return true;
    }
    for (let i = 0; i < earlier; i++) {
      const other = this.#waiting[i]!;
      if (this.#clash(slot, mode, other, this.#wanted[other]!)) return true;
    }
    return false;
  }

  #clash(slot: number, mode: number, other: number, otherMode: number): boolean {
    if (mode === SHARED && otherMode === SHARED) return false;
    return this.#start[slot]! < this.#end[other]! && this.#start[other]! < this.#end[slot]!;
  }
}

import type { BlockRequest, RangeHold } from './backend.ts';
import type { RangeLocks } from './range-locks.ts';

/** Ids of holds in the range locks of a drive, behind the slots of its requests. There are as many as are wanted at once. */
export class RangeHolds {
  readonly #locks: RangeLocks;
  readonly #first: number;
  readonly #holds: (RangeHold | null)[] = [];
  readonly #free: number[] = [];
  /** Tells the request or hold of a slot that it has its range. */
  readonly #granted: (slot: number) => void;
  #granting = false;
  /** Holds that have their range or wait for it. */
  count = 0;

  /** @param granted called with the slot of a request that waited and now has its range. */
  constructor(locks: RangeLocks, granted: (slot: number) => void) {
    this.#locks = locks;
    this.#first = locks.slots;
    this.#granted = granted;
  }

  /** As BlockBackend.hold, of this range, which has that of the hold in it; not `exclusive`: it is shared with others that are not. */
  take(hold: RangeHold, start: number, lengthBytes: number, exclusive = true): boolean {
    if (hold.slot >= 0) throw new Error('a range that is held is held again');
    this.count++;
    hold.slot = this.#free.pop() ?? this.#add();
    this.#holds[hold.slot - this.#first] = hold;
    return this.#locks.take(hold.slot, start, lengthBytes, exclusive);
  }

  give(hold: RangeHold): void {
    const { slot } = hold;
    if (this.#holds[slot - this.#first] !== hold) throw new Error('a range that is not held is let go');
    this.count--;
    this.#locks.release(slot);
    this.#holds[slot - this.#first] = null;
    this.#free.push(slot);
    hold.slot = -1;
  }

  /** Gives ranges to those that waited for what is free now. Whom it tells may come back here: the first call goes on with all. */
  grant(): void {
    if (this.#granting) return;
    this.#granting = true;
    try {
      for (let slot = this.#locks.next(); slot >= 0; slot = this.#locks.next()) {
        if (slot < this.#first) this.#granted(slot);
        else this.#holds[slot - this.#first]!.held();
      }
    } finally {
      this.#granting = false;
    }
  }

  /** Whoever holds a range keeps others out of it, so what is changed under it must not leave it: anything else is a mistake of ours. */
  check(request: BlockRequest, hold: RangeHold): void {
    if (!this.#locks.holds(hold.slot)) throw new Error('a request is made under a range that is not held');
    const inside =
      request.offset >= hold.offset && request.offset + request.lengthBytes <= hold.offset + hold.lengthBytes;
    const changes = request.operation !== 'read' && request.operation !== 'flush';
    if (changes && !inside) throw new Error('a request leaves the range under which it is made');
  }

  #add(): number {
    const slot = this.#first + this.#holds.length;
    if (slot === this.#locks.slots) this.#locks.grow(this.#first + Math.max(16, 2 * this.#holds.length));
    this.#holds.push(null);
    return slot;
  }
}

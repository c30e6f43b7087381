import { type BlockRequest, RangeHold } from './backend.ts';
import type { Dated, Deadlines } from './deadlines.ts';
import { ETIMEDOUT } from './errno.ts';
import { RangeHolds } from './range-holds.ts';
import { RangeLocks } from './range-locks.ts';

/**
 * The ranges of a drive whose requests end in time. Nobody waits for a hold longer than for a request: then it ends with an error, and every
 * request under it fails.
 */
export class TimedHolds {
  readonly #locks = new RangeLocks(0);
  readonly #holds = new RangeHolds(this.#locks, () => {});
  readonly #deadlines: Deadlines;
  readonly #alignmentBytes: number;
  readonly #released: () => void;
  /** By the slot of the outer hold. */
  readonly #timed: TimedHold[] = [];
  readonly #free: TimedHold[] = [];

  /** @param released called when somebody has given up waiting. */
  constructor(deadlines: Deadlines, alignmentBytes: number, released: () => void) {
    this.#deadlines = deadlines;
    this.#alignmentBytes = alignmentBytes;
    this.#released = released;
  }

  hold(hold: RangeHold): boolean {
    if (hold.slot >= 0) throw new Error('a range that is held is held again');
    const timed = this.#free.pop() ?? this.#add();
    timed.outer = hold;
    hold.error = 0;
    timed.offset = hold.offset;
    timed.lengthBytes = hold.lengthBytes;
    hold.slot = timed.index;
    // Whole blocks, since the drive reads, modifies and writes back those that are written in part.
    const unit = this.#alignmentBytes;
    const start = hold.offset - (hold.offset % unit);
    const end = Math.ceil((hold.offset + hold.lengthBytes) / unit) * unit;
    timed.state = this.#holds.take(timed, start, end - start) ? 'held' : 'waiting';
    if (timed.state === 'waiting') this.#deadlines.add(timed);
    return timed.state === 'held';
  }

  letGo(hold: RangeHold): void {
    const timed = this.#timed[hold.slot];
    if (timed?.outer !== hold) throw new Error('a range that is not held is let go');
    if (timed.state === 'waiting') this.#deadlines.remove(timed);
    if (timed.state !== 'late') this.#holds.give(timed);
    timed.outer = null;
    hold.slot = -1;
    this.#free.push(timed);
  }

  /** Whether a request may be made under its hold: false where the hold came too late. */
  allows(request: BlockRequest, hold: RangeHold): boolean {
    const timed = this.#timed[hold.slot];
    if (timed?.state === 'late') return false;
    if (timed?.outer !== hold) throw new Error('a request is made under a range that is not held');
    this.#holds.check(request, timed);
    return true;
  }

  /** Takes the range that a request changes, together with others that change it. False when it is had later. */
  share(range: RangeHold, offset: number, lengthBytes: number): boolean {
    return this.#holds.take(range, offset, lengthBytes, false);
  }

  give(range: RangeHold): void {
    this.#holds.give(range);
  }

  grant(): void {
    if (this.#locks.waiting > 0) this.#holds.grant();
  }

  #add(): TimedHold {
    const timed = new TimedHold(this.#timed.length, this.#deadlines, (late) => this.#late(late));
    this.#timed.push(timed);
    return timed;
  }

  #late(timed: TimedHold): void {
    timed.state = 'late';
    this.#holds.give(timed);
    this.#released();
    const outer = timed.outer!;
    outer.error = ETIMEDOUT;
    outer.held();
  }
}

class TimedHold extends RangeHold implements Dated {
  dueMs = 0;
  older: Dated | null = null;
  newer: Dated | null = null;
  outer: RangeHold | null = null;
  state: 'waiting' | 'held' | 'late' = 'waiting';
  readonly index: number;
  readonly #deadlines: Deadlines;
  readonly #late: (timed: TimedHold) => void;

  constructor(index: number, deadlines: Deadlines, late: (timed: TimedHold) => void) {
    super();
    this.index = index;
    this.#deadlines = deadlines;
    this.#late = late;
  }

  held(): void {
    this.#deadlines.remove(this);
    this.state = 'held';
    this.outer!.held();
  }

  expired(): void {
    this.#late(this);
  }
}

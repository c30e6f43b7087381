import type { Clock, Timer } from '@sidecard/core';

/** Something that has to end in time. */
export interface Dated {
  /** Clock.now at which it is too old; these three belong to the list that it is in. */
  dueMs: number;
  older: Dated | null;
  newer: Dated | null;
  /** It is too old, and in no list any more. */
  expired(): void;
}

/** What has to end in time, by age: each is given as long as the others, so that they are due in their order. One timer, for the oldest. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #rung: () => void;
  #oldest: Dated | null = null;
  #newest: Dated | null = null;
  #timer: Timer | null = null;

  /** @param late called when something may be too old; it calls `expire`. */
  constructor(clock: Clock, limitMs: number, late: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#rung = () => {
      this.#timer = null;
      late();
    };
  }

  add(one: Dated): void {
    one.dueMs = this.#clock.now() + this.#limitMs;
    one.older = this.#newest;
    one.newer = null;
    if (this.#newest === null) this.#oldest = one;
    else this.#newest.newer = one;
    this.#newest = one;
    this.#timer ??= this.#clock.setTimer(this.#limitMs, this.#rung);
  }

  remove(one: Dated): void {
    if (one.older === null) this.#oldest = one.newer;
    else one.older.newer = one.newer;
    if (one.newer === null) this.#newest = one.older;
    else one.newer.older = one.older;
    one.older = null;
    one.newer = null;
  }

  /** Ends what is too old, the oldest first. */
  expire(): void {
    const nowMs = this.#clock.now();
    for (let one = this.#oldest; one !== null && one.dueMs <= nowMs; one = this.#oldest) {
      this.remove(one);
      one.expired();
    }
    if (this.#oldest !== null) this.#timer ??= this.#clock.setTimer(this.#oldest.dueMs - nowMs, this.#rung);
  }

  /** Before sleep: with nothing under way no timer is to end it. While there is work the timer stays, though what it was set for has ended. */
  rest(): void {
    if (this.#oldest === null) this.stop();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

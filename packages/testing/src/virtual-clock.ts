import type { Clock, Timer } from '@sidecard/core';

interface Pending {
  readonly at: number;
  readonly callback: () => void;
}

/** At one moment. */
const MOST_TIMERS = 100_000;

/** Time that passes only when a test says so. */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #start: number;
  #pending: Pending[] = [];

  /** `startTime`: milliseconds since 1970 at the beginning. */
  constructor(startTime = Date.UTC(2026, 0, 1)) {
    this.#start = startTime;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#start + this.#now;
  }

  /** Timers that have not run out. */
  get timers(): number {
    return this.#pending.length;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const pending = { at: this.#now + Math.max(0, delayMs), callback };
    this.#pending.push(pending);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((one) => one !== pending);
      },
    };
  }

  /**
   * Lets time pass; timers run in their order, each at its own time, also those that they set. @throws RangeError when `ms` is no length of time; Error
   * when timers set others that are due, on and on.
   */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`time does not pass by ${ms} ms`);
    const end = this.#now + ms;
    let [moment, timers] = [this.#now, 0];
    for (;;) {
      const next = this.#pending.reduce<Pending | null>((a, b) => (a === null || b.at < a.at ? b : a), null);
      if (next === null || next.at > end) break;
      this.#pending = this.#pending.filter((one) => one !== next);
      if (next.at > moment) [moment, timers] = [next.at, 0];
      if (++timers > MOST_TIMERS) throw new Error(`timers at ${moment} ms set others for then, on and on`);
      this.#now = next.at;
      next.callback();
    }
    this.#now = end;
  }
}

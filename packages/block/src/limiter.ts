import type { Clock, Timer } from '@sidecard/core';
import { isCatchingUp, TokenBucket } from './token-bucket.ts';

/** What a drive may be asked for in a second, reads and writes together; null: as much as it can. */
export interface Limits {
  readonly iops: number | null;
  readonly bytesPerSecond: number | null;
}

/** Longest that a timer is set for, ms: those of the system have an end, after 24 days. */
const longestMs = 3_600_000;

export const unlimited: Limits = { iops: null, bytesPerSecond: null };

/** Somebody who wants to ask a drive for something, and may have to wait. Pooled by whoever that is, who has nothing of the drive's as long. */
export abstract class Admission {
  /** Where it waits; null: nowhere. This and what follows belongs to the limiter. */
  limiter: Limiter | null = null;
  older: Admission | null = null;
  newer: Admission | null = null;
  /** Since when it waits, Clock.now. */
  sinceMs = 0;
  /** Operations that are not paid for yet, and the bytes of each. */
  operations = 0;
  operationBytes = 0;
  /** Called once when an `admit` that answered false has come to its end; never from inside `admit`. */
  abstract admitted(): void;
}

/**
 * The limits of one drive, which may change at any time. Who has to wait does so in front of the drive, first come, first served, and is let go by one
 * timer. Large requests pay operation by operation, and let others pay in between. A drive without limits costs a look at `limited`.
 */
export class Limiter {
  /** Whether there is a limit: else nobody needs to ask. */
  limited = false;
  /** Those that wait now. */
  waiting = 0;
  /** Those that have had to wait so far. */
  delayed = 0;
  readonly #clock: Clock;
  readonly #operations = new TokenBucket();
  readonly #bytes = new TokenBucket();
  #limits = unlimited;
  #oldest: Admission | null = null;
  #newest: Admission | null = null;
  #timer: Timer | null = null;
  /** When somebody waited last, Clock.now. */
  #waitedMs = Number.NEGATIVE_INFINITY;
  /** Of those that wait no more. */
  #delayedMs = 0;
  readonly #rung = () => {
    this.#timer = null;
    this.#letGo();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get limits(): Limits {
    return this.#limits;
  }

  /** How long all of them have waited so far together, ms. */
  get delayedMs(): number {
    const nowMs = this.#clock.now();
    let delayedMs = this.#delayedMs;
    for (let one = this.#oldest; one !== null; one = one.newer) delayedMs += nowMs - one.sinceMs;
    return delayedMs;
  }

  /** Holds at once, also for those that wait: without limits they all go, in their order. */
  set(limits: Limits): void {
    const nowMs = this.#clock.now();
    this.#operations.setRate(limits.iops, nowMs);
    this.#bytes.setRate(limits.bytesPerSecond, nowMs);
    this.#limits = limits;
    this.limited = this.#operations.limited || this.#bytes.limited;
    this.#stopTimer();
    if (this.limited) this.#letGo();
    else this.letAllGo();
  }

  /** True when it may go on; else `admitted()` will be called. @param lengthBytes of all its operations together. */
  admit(admission: Admission, operations: number, lengthBytes: number): boolean {
    if (admission.limiter !== null) throw new Error('who waits for a limit asks again');
    const nowMs = this.#clock.now();
    const late = isCatchingUp(this.#waitedMs, nowMs);
    admission.operations = operations;
    admission.operationBytes = lengthBytes / operations;
    while (this.#oldest === null && this.#dueMs <= nowMs) if (this.#pay(admission, nowMs, late)) return true;
    admission.limiter = this;
    admission.sinceMs = nowMs;
    this.waiting++;
    this.delayed++;
    this.#append(admission);
    this.#startTimer(nowMs);
    return false;
  }

  /** It does not want to go on any more. What it has paid is lost. */
  withdraw(admission: Admission): void {
    if (admission.limiter !== this) throw new Error('who does not wait for a limit gives up waiting');
    this.#leave(admission, this.#clock.now());
    if (this.#oldest === null) this.#stopTimer();
  }

  /** All that wait go on, whatever the limits: what they wait for is about to be gone. */
  letAllGo(): void {
    const nowMs = this.#clock.now();
    for (let left = this.waiting; left > 0 && this.#oldest !== null; left--) {
      const one = this.#oldest;
      this.#leave(one, nowMs);
      one.admitted();
    }
    if (this.#oldest === null) this.#stopTimer();
  }

  get #dueMs(): number {
    return Math.max(this.#operations.dueMs, this.#bytes.dueMs);
  }

  /** Pays for one operation. True when that was the last. */
  #pay(admission: Admission, nowMs: number, late: boolean): boolean {
    this.#operations.take(1, nowMs, late);
    this.#bytes.take(admission.operationBytes, nowMs, late);
    return --admission.operations === 0;
  }

  /** Lets go who has waited long enough. */
  #letGo(): void {
    const nowMs = this.#clock.now();
    while (this.#oldest !== null && this.#dueMs <= nowMs) {
      const one = this.#oldest;
      this.#waitedMs = nowMs;
      if (this.#pay(one, nowMs, true)) {
        this.#leave(one, nowMs);
        one.admitted();
      } else {
        this.#unlink(one);
        this.#append(one);
      }
    }
    if (this.#oldest !== null) this.#startTimer(nowMs);
  }

  #leave(admission: Admission, nowMs: number): void {
    this.#unlink(admission);
    admission.limiter = null;
    this.waiting--;
    this.#delayedMs += nowMs - admission.sinceMs;
  }

  #append(admission: Admission): void {
    admission.older = this.#newest;
    if (this.#newest === null) this.#oldest = admission;
    else this.#newest.newer = admission;
    this.#newest = admission;
  }

  #unlink(admission: Admission): void {
    const { older, newer } = admission;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    admission.older = null;
    admission.newer = null;
  }

  /** In whole milliseconds, as the timers of the system: what comes due in between is let go together. */
  #startTimer(nowMs: number): void {
    if (this.#timer !== null) return;
    const delayMs = Math.max(1, Math.ceil(this.#dueMs - nowMs));
    this.#timer = this.#clock.setTimer(Math.min(delayMs, longestMs), this.#rung);
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

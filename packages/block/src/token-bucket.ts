/** What may be asked for at once after rest, as time at the rate of the bucket, ms. */
const burstMs = 10;
/** What may be made up for at most where those that waited were let go late, ms: timers are late on a busy host. */
const catchUpMs = 100;

/** Tokens that come at a steady rate, as the time from which on there are some. What is taken may be more than there is: then that time is later. */
export class TokenBucket {
  /** Clock.now from which on there are tokens. */
  dueMs = 0;
  /** 0: there is no limit. */
  #tokenMs = 0;
  #burstMs = 0;

  get limited(): boolean {
    return this.#tokenMs > 0;
  }

  /** Sets the rate; null: no limit. What was taken in advance stays taken, in tokens; what was saved up is gone. */
  setRate(perSecond: number | null, nowMs: number): void {
    if (perSecond !== null && !(perSecond > 0)) throw new Error(`a limit of ${perSecond} in a second`);
    const ahead = this.#tokenMs > 0 ? Math.max(0, this.dueMs - nowMs) / this.#tokenMs : 0;
    this.#tokenMs = perSecond === null ? 0 : 1000 / perSecond;
    this.dueMs = nowMs + ahead * this.#tokenMs;
    // In whole tokens, so that a slow rate has none, and is as even as it can be.
    this.#burstMs = this.limited ? Math.floor(burstMs / this.#tokenMs) * this.#tokenMs : 0;
  }

  /** @param late whoever takes them had to wait, and may make up for lost time. */
  take(tokens: number, nowMs: number, late: boolean): void {
    const savedMs = late ? catchUpMs : this.#burstMs;
    this.dueMs = Math.max(this.dueMs, nowMs - savedMs) + tokens * this.#tokenMs;
  }
}

/** Whether somebody who waited at `thenMs` is still making up for it. */
export function isCatchingUp(thenMs: number, nowMs: number): boolean {
  return nowMs - thenMs < catchUpMs;
}

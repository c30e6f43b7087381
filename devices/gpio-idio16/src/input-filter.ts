import type { Clock, Timer } from '@sidecard/core';

/** A filtered input keeps a new level this long before the card sees it, ms (PCI-IDIO-16 manual, chapter 4). */
export const filterMs = 5;
const lines = 16;

/**
 * Tells when the inputs have kept their levels for long enough. Its times are not state of the card: an input that has not settled is one whose
 * terminal and register differ, and a successor lets it begin anew.
 */
export class InputFilter {
  readonly #clock: Clock;
  readonly #settled: (inputs: number) => void;
  readonly #due = new Float64Array(lines).fill(Number.POSITIVE_INFINITY);
  #timer: Timer | null = null;

  /** @param settled gets a bit for each input that has kept its level. */
  constructor(clock: Clock, settled: (inputs: number) => void) {
    this.#clock = clock;
    this.#settled = settled;
  }

  /** These inputs have changed: their time begins (again). */
  start(inputs: number): void {
    const due = this.#clock.now() + filterMs;
    for (let line = 0; line < lines; line++) if (inputs & (1 << line)) this.#due[line] = due;
    if (inputs !== 0) this.#wait();
  }

  /** These inputs are as the card has seen them: nothing is to come. */
  stop(inputs: number): void {
    for (let line = 0; line < lines; line++) if (inputs & (1 << line)) this.#due[line] = Number.POSITIVE_INFINITY;
  }

  #wait(): void {
    const due = Math.min(...this.#due);
    if (this.#timer !== null || due === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.setTimer(Math.max(0, due - this.#clock.now()), () => this.#expired());
  }

  #expired(): void {
    this.#timer = null;
    const now = this.#clock.now();
    let settled = 0;
    for (let line = 0; line < lines; line++) if (this.#due[line]! <= now) settled |= 1 << line;
    this.stop(settled);
    this.#wait();
    if (settled !== 0) this.#settled(settled);
  }
}

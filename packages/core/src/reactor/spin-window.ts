/** Longest that the reactor goes on looking while nothing comes, us. */
export const MAX_WINDOW_US = 50;
/** Below this, looking on is not worth its beginning. */
const MIN_WINDOW_US = 4;
const MAX_PATIENCE = 1024;
/** How many short sleeps it takes to try again after the process was preempted while it looked. */
const CROWDED_PATIENCE = 256;

/**
 * For how long to look on before sleeping. It grows only when looking on found something, halves when it did not, and is zero
 * where spinning takes the processor from whoever would bring the work. Grown from zero it is tried after sleeps so short that looking on would have
 * paid; each try that finds nothing makes the next one rarer.
 */
export class SpinWindow {
  /** Microseconds; 0 is to sleep at once. */
  us = 0;
  /** Short sleeps needed before the next try, and seen so far. */
  #patience = 1;
  #shortSleeps = 0;
  readonly #enabled: boolean;

  /** Not `enabled`: always 0. */
  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** Something came while looking on. */
  hit(): void {
    if (this.us === 0) return;
    if (this.us < MAX_WINDOW_US) this.us = Math.min(MAX_WINDOW_US, this.us * 2);
    this.#patience = 1;
  }

  /** The window has passed and nothing came. */
  miss(): void {
    this.us = this.us >> 1;
    if (this.us < MIN_WINDOW_US) this.us = 0;
  }

  /** The scheduler took the processor away while we had nothing to do: somebody else needs it. */
  preempted(): void {
    this.us = 0;
    this.#patience = Math.max(this.#patience, CROWDED_PATIENCE);
    this.#shortSleeps = 0;
  }

  /** Woken after `us` of sleep. */
  slept(us: number): void {
    if (!this.#enabled || this.us > 0) return;
    if (us > MAX_WINDOW_US) return;
    this.#shortSleeps++;
    if (this.#shortSleeps < this.#patience) return;
    this.#shortSleeps = 0;
    this.#patience = Math.min(MAX_PATIENCE, this.#patience * 2);
    this.us = MAX_WINDOW_US;
  }
}

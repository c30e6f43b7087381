/** Control gets its share of the device's thread in slices of so many ms. */
export const sliceMs = 5;

/** So many of something in each slice, for whoever takes them. */
export class Slices {
  readonly #perSlice: number;
  #endMs = 0;
  #left = 0;

  constructor(perSlice: number) {
    this.#perSlice = perSlice;
  }

  /** Time until there is one to take, ms; 0 is now. */
  waitMs(): number {
    const nowMs = performance.now();
    if (nowMs >= this.#endMs) {
      this.#endMs = nowMs + sliceMs;
      this.#left = this.#perSlice;
    }
    return this.#left > 0 ? 0 : Math.ceil(this.#endMs - nowMs);
  }

  take(): void {
    this.#left--;
  }
}

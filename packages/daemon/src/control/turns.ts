/** Control gets its share of the device's thread in slices of so many ms. */
export const sliceMs = 5;
/** Requests in a slice. One costs some 0.15 ms in all, so this is less than a fifth of the thread, and more than anybody needs. */
export const requestsPerSlice = 6;

/** Hands out turns to requests: one for each turn of the event loop, and not too many in a time, whatever the number of clients. */
export class Turns {
  readonly #queue: (() => void)[] = [];
  #sliceEndMs = 0;
  #left = 0;

  /** Resolves when it is this request's turn. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      if (this.#queue.length === 1) this.#schedule();
    });
  }

  readonly #schedule = () => {
    const nowMs = performance.now();
    if (nowMs >= this.#sliceEndMs) {
      this.#sliceEndMs = nowMs + sliceMs;
      this.#left = requestsPerSlice;
    }
    if (this.#left > 0) setImmediate(this.#next);
    else setTimeout(this.#schedule, Math.ceil(this.#sliceEndMs - nowMs));
  };

  readonly #next = () => {
    this.#left--;
    this.#queue.shift()!();
    if (this.#queue.length > 0) this.#schedule();
  };
}

import { Slices } from './slices.ts';

/** Requests in a slice. One costs some 0.15 ms in all, so this is less than a fifth of the thread, and more than anybody needs. */
export const requestsPerSlice = 6;

/** Hands out turns to requests: one for each turn of the event loop, and not too many in a time, whatever the number of clients. */
export class Turns {
  readonly #queue: (() => void)[] = [];
  readonly #slices = new Slices(requestsPerSlice);

  /** Resolves when it is this request's turn. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      if (this.#queue.length === 1) this.#schedule();
    });
  }

  readonly #schedule = () => {
    const waitMs = this.#slices.waitMs();
    if (waitMs === 0) setImmediate(this.#next);
    else setTimeout(this.#schedule, waitMs);
  };

  readonly #next = () => {
    this.#slices.take();
    this.#queue.shift()!();
    if (this.#queue.length > 0) this.#schedule();
  };
}

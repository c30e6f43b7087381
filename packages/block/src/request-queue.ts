import type { BlockRequest } from './backend.ts';

/** Requests that wait for a slot, first in, first out: a ring that grows, so that waiting allocates nothing for long. */
export class RequestQueue {
  #requests: (BlockRequest | null)[] = new Array<BlockRequest | null>(256).fill(null);
  #head = 0;
  count = 0;

  push(request: BlockRequest): void {
    if (this.count === this.#requests.length) this.#grow();
    this.#requests[(this.#head + this.count) % this.#requests.length] = request;
    this.count++;
  }

  shift(): BlockRequest {
    const request = this.#requests[this.#head]!;
    this.#requests[this.#head] = null;
    this.#head = (this.#head + 1) % this.#requests.length;
    this.count--;
    return request;
  }

  #grow(): void {
    const grown = new Array<BlockRequest | null>(this.#requests.length * 2).fill(null);
    for (let i = 0; i < this.count; i++) grown[i] = this.#requests[(this.#head + i) % this.#requests.length]!;
    this.#requests = grown;
    this.#head = 0;
  }
}

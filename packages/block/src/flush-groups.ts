import type { FileRing } from './file-ring.ts';

/**
 * One fdatasync at a time. The kernel tells an error of writing back to one caller only: of two side by side one would answer
 * success for data that is lost. Who comes meanwhile waits for the next, which serves all of them.
 */
export class FlushGroups {
  readonly #ring: FileRing;
  /** Slots that the call under way serves, the one that made it first. */
  #served: number[] = [];
  #waiting: number[] = [];

  constructor(ring: FileRing) {
    this.#ring = ring;
  }

  add(slot: number): void {
    if (this.#served.length > 0) this.#waiting.push(slot);
    else {
      this.#served.push(slot);
      this.#ring.flush(slot);
    }
  }

  /** The call is to be made again. */
  again(): void {
    this.#ring.flush(this.#served[0]!);
  }

  /** The call has ended: calls `each` with every slot that it served, and starts the next. */
  ended(each: (slot: number) => void): void {
    const served = this.#served;
    this.#served = this.#waiting;
    this.#waiting = [];
    if (this.#served.length > 0) this.#ring.flush(this.#served[0]!);
    for (const slot of served) each(slot);
  }
}

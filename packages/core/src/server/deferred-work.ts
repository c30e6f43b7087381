type Work = () => void;

/** Work that waits until the message at hand has been answered. Adding and running allocate nothing. */
export class DeferredWork {
  // Used again and again, with counts: an array emptied by its length gives its elements back, and grows new ones.
  #queued: Work[] = [];
  #running: Work[] = [];
  #count = 0;

  get waiting(): boolean {
    return this.#count > 0;
  }

  add(work: Work): void {
    for (let i = 0; i < this.#count; i++) if (this.#queued[i] === work) return;
    this.#queued[this.#count++] = work;
  }

  /** Runs what has been added so far; what is added meanwhile waits for the next call. True when there was anything. */
  run(failed: (error: unknown) => void): boolean {
    const count = this.#count;
    if (count === 0) return false;
    const now = this.#queued;
    this.#queued = this.#running;
    this.#running = now;
    this.#count = 0;
    for (let i = 0; i < count; i++) {
      try {
        now[i]!();
      } catch (error) {
        failed(error);
      }
    }
    return true;
  }
}

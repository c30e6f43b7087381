/** Work that runs once, after the access being handled has been answered (Host.defer). Nothing is allocated once it has grown. */
export class DeferredWork {
  #queued: (() => void)[] = [];
  #running: (() => void)[] = [];

  get waiting(): boolean {
    return this.#queued.length > 0;
  }

  add(work: () => void): void {
    if (!this.#queued.includes(work)) this.#queued.push(work);
  }

  /** Runs what has been added so far; what is added meanwhile waits for the next call. True when there was anything. */
  run(failed: (error: unknown) => void): boolean {
    if (this.#queued.length === 0) return false;
    const now = this.#queued;
    this.#queued = this.#running;
    this.#running = now;
    for (let i = 0; i < now.length; i++) {
      try {
        now[i]!();
      } catch (error) {
        failed(error);
      }
    }
    now.length = 0;
    return true;
  }
}

/** What interrupts do with the client's fds, injected. */
export interface EventFds {
  /** Adds 1, without blocking; one that is full counts as signalled. */
  signal(fd: number): void;
  /** Takes what is in it, without blocking: how much, or a negative number when nothing will ever come (the end of a pipe). */
  drain(fd: number): number;
  close(fd: number): void;
  /** Calls `readable` whenever it is readable, until the returned function is called. */
  watch(fd: number, readable: () => void): () => void;
}

/** Eventfds of the client by vector, -1 for none: each is closed exactly once, when it is replaced or removed. */
export class OwnedFds {
  readonly #eventFds: EventFds;
  readonly #fds: Int32Array;

  constructor(eventFds: EventFds, count: number) {
    this.#eventFds = eventFds;
    this.#fds = new Int32Array(count).fill(-1);
  }

  get count(): number {
    return this.#fds.length;
  }

  has(vector: number): boolean {
    return this.#fds[vector]! >= 0;
  }

  signal(vector: number): void {
    const fd = this.#fds[vector]!;
    if (fd >= 0) this.#eventFds.signal(fd);
  }

  replace(vector: number, fd: number): void {
    const old = this.#fds[vector]!;
    this.#fds[vector] = fd;
    if (old >= 0) this.#eventFds.close(old);
  }

  clear(): void {
    for (let vector = 0; vector < this.#fds.length; vector++) this.replace(vector, -1);
  }
}

/** An eventfd that the client signals, owned and watched: an INTx mask or unmask (resample) fd. */
export class WatchedFd {
  readonly #eventFds: EventFds;
  readonly #signalled: () => void;
  #fd = -1;
  #stop: (() => void) | null = null;

  constructor(eventFds: EventFds, signalled: () => void) {
    this.#eventFds = eventFds;
    this.#signalled = signalled;
  }

  replace(fd: number): void {
    this.#look(null);
    if (this.#fd >= 0) this.#eventFds.close(this.#fd);
    this.#fd = fd;
    if (fd < 0) return;
    this.#look(
      this.#eventFds.watch(fd, () => {
        // Drained first: a signal that comes while this one is handled is another one.
        if (this.#eventFds.drain(fd) >= 0) this.#signalled();
        // Else it is readable for ever: each look would be a signal, and the next.
        else this.#look(null);
      }),
    );
  }

  /** Ends the watch of before. */
  #look(stop: (() => void) | null): void {
    this.#stop?.();
    this.#stop = stop;
  }
}

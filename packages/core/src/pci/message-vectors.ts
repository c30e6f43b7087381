import { type EventFds, OwnedFds } from './owned-fds.ts';

/** Where the mask and pending bits of MSI or MSI-X are: registers that the guest sees. */
export interface VectorBits {
  masked(vector: number): boolean;
  pending(vector: number): boolean;
  setPending(vector: number, pending: boolean): void;
}

/** The vectors of MSI or MSI-X: a message is delivered by its eventfd, or pending until it can be. */
export class MessageVectors {
  readonly #fds: OwnedFds;
  readonly #bits: VectorBits;
  /** Set while messages are held back as a whole: the function is masked, switched off, or may not master the bus. */
  #held = false;
  /** Up to which vector some may be pending: spares looking when none is, which devices ask at each command. */
  #pendingBelow = 0;
  /** The client has set vectors up and not switched the index off since. */
  armed = false;

  constructor(eventFds: EventFds, count: number, bits: VectorBits) {
    this.#fds = new OwnedFds(eventFds, count);
    this.#bits = bits;
    // A predecessor may have left some.
    for (let vector = 0; vector < count; vector++) if (bits.pending(vector)) this.#pendingBelow = vector + 1;
  }

  get count(): number {
    return this.#fds.count;
  }

  /** How many of the first vectors have been set up, at least 1. */
  get armedCount(): number {
    let count = this.#fds.count;
    while (count > 1 && !this.#fds.has(count - 1)) count--;
    return count;
  }

  signal(vector: number): void {
    if (this.#deliverable(vector)) {
      this.#fds.signal(vector);
      return;
    }
    this.#bits.setPending(vector, true);
    if (vector >= this.#pendingBelow) this.#pendingBelow = vector + 1;
  }

  isPending(vector: number): boolean {
    return vector < this.#pendingBelow && this.#bits.pending(vector);
  }

  /** What made a message necessary has been served without it: one that is still pending is not sent. */
  withdraw(vector: number): void {
    if (this.isPending(vector)) this.#bits.setPending(vector, false);
  }

  /** Only the first `count` are in use: what is pending beyond them is taken modulo their number, as signals are. */
  fold(count: number): void {
    for (let vector = count; vector < this.#pendingBelow; vector++) {
      if (!this.#bits.pending(vector)) continue;
      this.#bits.setPending(vector, false);
      this.#bits.setPending(vector % count, true);
    }
  }

  /** The client's own TRIGGER: without regard to masks. */
  trigger(vector: number): void {
    this.#fds.signal(vector);
  }

  set(vector: number, fd: number): void {
    this.armed = true;
    this.#fds.replace(vector, fd);
    this.deliver();
  }

  hold(held: boolean): void {
    this.#held = held;
    this.deliver();
  }

  /** Delivers what was pending and can be delivered now. */
  deliver(): void {
    if (this.#held) return;
    let below = 0;
    for (let vector = 0; vector < this.#pendingBelow; vector++) {
      if (!this.#bits.pending(vector)) continue;
      if (this.#deliverable(vector)) {
        this.#bits.setPending(vector, false);
        this.#fds.signal(vector);
      } else below = vector + 1;
    }
    this.#pendingBelow = below;
  }

  /** A reset: what was pending is forgotten. */
  forget(): void {
    for (let vector = 0; vector < this.#pendingBelow; vector++) {
      if (this.#bits.pending(vector)) this.#bits.setPending(vector, false);
    }
    this.#pendingBelow = 0;
  }

  /** The client switches the index off, or has gone. */
  clear(): void {
    this.armed = false;
    this.#fds.clear();
  }

  #deliverable(vector: number): boolean {
    return !this.#held && this.#fds.has(vector) && !this.#bits.masked(vector);
  }
}

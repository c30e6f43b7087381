/**
 * The undo log of the arena that a piece of memory is in. What stores several words that belong together asks it to
 * keep the bytes as they were, before it stores (state.md, Turns are transactions).
 */
export interface Journal {
  /** True while a turn is open; outside of turns nothing is kept. */
  readonly open: boolean;
  /** Keeps `lengthBytes` at `byteOffset` of the arena's buffer. Only while `open`. */
  touch(byteOffset: number, lengthBytes: number): void;
}

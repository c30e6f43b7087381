/**
 * Something that the reactor looks at on each turn while it is awake: a socket, doorbells in shared memory, the
 * completions of a backend.
 */
export interface PollSource {
  /** Does what there is to do; answers whether there was anything. Never blocks. */
  poll(): boolean;
  /**
   * Before sleep: asks to be woken (EventIdx, an eventfd), then looks once more. False when there is work, and then nobody sleeps.
   * A source without it is woken by `wakeFd` alone.
   */
  arm?(): boolean;
  /** Awake again: no more wake-ups are wanted. */
  disarm?(): void;
  /** Readable when there is work while asleep, level-triggered. */
  readonly wakeFd?: number;
  /** True while nothing can wake this source (doorbells in a page mapped into the guest): sleep is then a timer of at most 1 ms. */
  readonly silent?: boolean;
}

import type { InterruptState } from './interrupt-state.ts';
import { type EventFds, OwnedFds, WatchedFd } from './owned-fds.ts';

/**
 * An interrupt pin as VFIO has it: a level, told by an eventfd. After a signal the line counts as masked until the client unmasks it,
 * and then it is signalled again only if the level is still true.
 */
export class IntxLine {
  readonly #trigger: OwnedFds;
  readonly #mask: WatchedFd;
  readonly #unmask: WatchedFd;
  readonly #level: () => boolean;
  readonly #state: InterruptState;

  /** @param level whether the function asserts the line now, by its state and its config space. */
  constructor(eventFds: EventFds, state: InterruptState, level: () => boolean) {
    this.#trigger = new OwnedFds(eventFds, 1);
    this.#mask = new WatchedFd(eventFds, () => this.mask());
    this.#unmask = new WatchedFd(eventFds, () => this.unmask());
    this.#state = state;
    this.#level = level;
  }

  /** The level may have changed. */
  update(): void {
    const state = this.#state;
    if (state.intxSignalled !== 0 || state.intxMasked !== 0 || !this.#trigger.has(0)) return;
    if (this.#level()) this.signal();
  }

  /** Without regard to level and mask: also the client's own TRIGGER. */
  signal(): void {
    if (!this.#trigger.has(0)) return;
    this.#state.intxSignalled = 1;
    this.#trigger.signal(0);
  }

  mask(): void {
    this.#state.intxMasked = 1;
  }

  unmask(): void {
    this.#state.intxSignalled = 0;
    this.#state.intxMasked = 0;
    this.update();
  }

  /** A trigger of -1 is none. What the old one was told the new one may not know; what the client has masked stays so. */
  setTrigger(fd: number): void {
    this.#trigger.replace(0, fd);
    this.#state.intxSignalled = 0;
    this.update();
  }

  setMask(fd: number): void {
    this.#mask.replace(fd);
  }

  /** KVM's resample eventfd. */
  setUnmask(fd: number): void {
    this.#unmask.replace(fd);
  }

  /** The client switches INTx off, or has gone. */
  clear(): void {
    this.#unmask.replace(-1);
    this.#mask.replace(-1);
    this.#trigger.replace(0, -1);
    this.#state.intxSignalled = 0;
    this.#state.intxMasked = 0;
  }
}

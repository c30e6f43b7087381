import type { Clock, Timer } from '../pci/device.ts';

/** What an answer waits for: every request of the device in flight, those on one unmapped region, or on any. */
export type Awaited = 'reset' | 'unmap' | 'unmapAll';

/** A message whose answer waits for I/O in flight. */
export interface Deferral {
  readonly id: number;
  readonly command: number;
  readonly awaits: Awaited;
  /** The payload of the reply, copied. */
  readonly payload: Uint8Array;
  readonly iova: number;
  readonly sizeBytes: number;
  /** When it came, Clock.now. */
  readonly receivedMs: number;
  drained: boolean;
}

/**
 * Messages that are answered when I/O in flight has ended (DMA_UNMAP, DEVICE_RESET, FLR), and with an error about 4 s after the
 * oldest of them came: QEMU waits 5 s, once, for a whole row (facts/qemu-client.md, Time). Not on the hot path: this may allocate.
 */
export class Deferrals {
  readonly #clock: Clock;
  readonly #drainMs: number;
  readonly #expired: (pending: readonly Deferral[]) => void;
  #pending: Deferral[] = [];
  /** Unmaps that were answered with an error and have not ended yet: their end is nobody else's. */
  #abandoned: Deferral[] = [];
  #timer: Timer | null = null;

  constructor(clock: Clock, drainMs: number, expired: (pending: readonly Deferral[]) => void) {
    this.#clock = clock;
    this.#drainMs = drainMs;
    this.#expired = expired;
  }

  get count(): number {
    return this.#pending.length;
  }

  add(deferral: Deferral): void {
    this.#pending.push(deferral);
    this.#armTimer();
  }

  /** I/O on an unmapped region has ended: the oldest message that waits for it can be answered. */
  drained(iova: number, sizeBytes: number): void {
    const same = (one: Deferral) =>
      one.awaits === 'unmap' && !one.drained && one.iova === iova && one.sizeBytes === sizeBytes;
    const abandoned = this.#abandoned.findIndex(same);
    if (abandoned >= 0) {
      this.#abandoned.splice(abandoned, 1);
      return;
    }
    const found = this.#pending.find(same);
    if (found !== undefined) found.drained = true;
  }

  /** Hands over what can be answered now; `answer` is false when there is no room for more. True when any was answered. */
  settle(resetDone: boolean, allDrained: boolean, answer: (deferral: Deferral) => boolean): boolean {
    const before = this.#pending.length;
    let room = true;
    this.#pending = this.#pending.filter((one) => {
      if (!room || !(one.drained || (one.awaits === 'reset' ? resetDone : allDrained))) return true;
      room = answer(one);
      return !room;
    });
    if (this.#pending.length === before) return false;
    this.#stopTimer();
    this.#armTimer();
    return true;
  }

  clear(): void {
    this.#pending = [];
    this.#abandoned = [];
    this.#stopTimer();
  }

  #armTimer(): void {
    const oldest = this.#pending[0];
    if (oldest === undefined || this.#timer !== null) return;
    const leftMs = Math.max(0, oldest.receivedMs + this.#drainMs - this.#clock.now());
    this.#timer = this.#clock.setTimer(leftMs, () => this.#expire());
  }

  #expire(): void {
    this.#timer = null;
    const late = this.#pending;
    this.#pending = [];
    this.#abandoned.push(...late.filter((one) => one.awaits === 'unmap' && !one.drained));
    this.#expired(late);
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

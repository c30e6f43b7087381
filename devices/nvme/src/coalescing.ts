import type { Timer } from '@sidecard/core';
import type { Controller } from './controller.ts';
import { queueCount } from './limits.ts';
import type { CompletionQueue } from './queues/completion-queue.ts';

/** Aggregation Time is in units of 100 us; timers here are of milliseconds. */
const timeUnitsPerMs = 10;

/**
 * Interrupt coalescing (features 08h and 09h; NVMe Base 2.0, 5.27.1.6): a message waits until enough entries have come for its vector, or time has passed.
 * Nothing of it lasts: a successor tells every queue that has entries. The pin is level, and does not wait.
 */
export class InterruptCoalescing {
  readonly #controller: Controller;
  /** By vector: the time that has been set for it. */
  readonly #timers: (Timer | null)[] = new Array<Timer | null>(queueCount).fill(null);
  readonly #elapsed: (() => void)[];

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#elapsed = Array.from({ length: queueCount }, (_, vector) => () => {
      this.#timers[vector] = null;
      if (this.#waiting(vector) > 0) this.#controller.interrupts.signal(vector);
    });
  }

  /** Entries were posted in the queue: true when its interrupt is to wait. */
  holds(queue: CompletionQueue): boolean {
    const { features, host, running } = this.#controller;
    const { value } = features.coalescing;
    const entries = (value & 0xff) + 1;
    const time = value >>> 8;
    if (time === 0 || entries === 1 || queue.id === 0 || !running || !features.vectors.coalesced(queue.vector))
      return false;
    const { vector } = queue;
    if (this.#waiting(vector) >= entries) {
      this.#stop(vector);
      return false;
    }
    this.#timers[vector] ??= host.clock.setTimer(Math.ceil(time / timeUnitsPerMs), this.#elapsed[vector]!);
    return true;
  }

  /** A reset: nothing waits any more. */
  reset(): void {
    for (let vector = 0; vector < queueCount; vector++) this.#stop(vector);
  }

  /** Nothing waits any more, and is told now. */
  tell(): void {
    for (let vector = 0; vector < queueCount; vector++) {
      if (this.#timers[vector] === null) continue;
      this.#stop(vector);
      this.#elapsed[vector]!();
    }
  }

  #stop(vector: number): void {
    this.#timers[vector]?.cancel();
    this.#timers[vector] = null;
  }

  /** Entries of queues with this vector that the guest has not consumed. */
  #waiting(vector: number): number {
    let entries = 0;
    for (const queue of this.#controller.queues.activeCompletion) {
      if (queue.vector === vector && queue.interruptsEnabled) entries += queue.used - queue.unpublished;
    }
    return entries;
  }
}

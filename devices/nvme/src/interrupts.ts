import { InterruptCoalescing } from './coalescing.ts';
import type { Controller } from './controller.ts';
import { queueCount } from './limits.ts';
import type { CompletionQueue } from './queues/completion-queue.ts';

/** Interrupts of completion queues (NVMe over PCIe Transport 1.0, 3.5): one function for the level, from state alone. */
export class CompletionInterrupts {
  readonly #controller: Controller;
  readonly #coalescing: InterruptCoalescing;

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#coalescing = new InterruptCoalescing(controller);
  }

  get #pin(): boolean {
    const { mode } = this.#controller.host.interrupt;
    return mode === 'intx' || mode === 'none';
  }

  /** Entries were posted in the queue. The pin is brought up to date by `update`. */
  posted(queue: CompletionQueue): void {
    if (!this.#pin && !this.#coalescing.holds(queue)) this.signal(queue.vector);
  }

  signal(vector: number): void {
    const { interrupt } = this.#controller.host;
    if (this.#pin || (interrupt.mode === 'msi' && this.#masked(vector))) return;
    interrupt.signal(vector);
  }

  /** INTMS and INTMC are for the pin and MSI (Base 2.0, 3.1.3.3); with MSI-X the table masks. */
  #masked(vector: number): boolean {
    return vector < 32 && ((this.#controller.registers.intms >>> vector) & 1) !== 0;
  }

  /** The masks have changed: what waited for that is told. */
  unmasked(vectors: number): void {
    if (this.#controller.host.interrupt.mode === 'msi') {
      for (const queue of this.#controller.queues.activeCompletion) {
        const { vector } = queue;
        if (vector < 32 && ((vectors >>> vector) & 1) !== 0 && this.#hasNews(queue)) this.posted(queue);
      }
    }
    this.update();
  }

  /** The guest has consumed entries of a queue, or deleted it: a message that is still pending may have nothing to tell any more (PCI Local Bus 3.0, 6.8.3.5). */
  consumed(vector: number): void {
    const { interrupt } = this.#controller.host;
    if (interrupt.isPending(vector) && !this.#tells(vector)) interrupt.withdraw(vector);
  }

  /** A queue that uses the vector has something to tell. */
  #tells(vector: number): boolean {
    const queues = this.#controller.queues.activeCompletion;
    for (let index = 0; index < queues.length; index++) {
      const queue = queues[index]!;
      if (queue.vector === vector && this.#hasNews(queue)) return true;
    }
    return false;
  }

  /** What waits for more is told. */
  tell(): void {
    this.#coalescing.tell();
  }

  /** All queues are gone. */
  reset(): void {
    this.#coalescing.reset();
    for (let vector = 0; vector < queueCount; vector++) this.consumed(vector);
    this.update();
  }

  /** A queue was filled or consumed, created or deleted, or the mask has changed. */
  update(): void {
    if (this.#pin) this.#controller.host.interrupt.update();
  }

  /**
   * INTA#, as the client is told of it: with the heads that the guest has written by now. With shadow doorbells the next of them is asked for as a trapped write:
   * QEMU without KVM takes the line back only at an access to a BAR, and a guest whose line stays up is interrupted without end.
   */
  pin(): boolean {
    const { doorbells, queues } = this.#controller;
    if (!doorbells.polled || !this.level) return this.level;
    doorbells.lookAtHeads();
    if (!doorbells.shadow.enabled) return this.level;
    for (const queue of queues.activeCompletion) {
      if (!this.#hasNews(queue)) continue;
      // And the next command, if the line comes up after its entry was consumed: then nothing is left that would make the guest access a BAR.
      doorbells.shadow.askForTails(queue);
      doorbells.shadow.askForHead(queue);
    }
    return this.level;
  }

  /** By state alone: a queue has something to tell. */
  get level(): boolean {
    if (this.#masked(0)) return false;
    const queues = this.#controller.queues.activeCompletion;
    for (let index = 0; index < queues.length; index++) {
      if (this.#hasNews(queues[index]!)) return true;
    }
    return false;
  }

  /** It interrupts, and has entries that the guest has not consumed. */
  #hasNews(queue: CompletionQueue): boolean {
    return queue.interruptsEnabled && queue.visible;
  }
}

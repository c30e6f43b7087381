import type { CompletionQueue } from './completion-queue.ts';
import type { Controller } from './controller.ts';
import { queueCount } from './limits.ts';
import type { SubmissionQueue } from './submission-queue.ts';

/** The shadow doorbell and EventIdx buffers, from Doorbell Buffer Config to the next reset. */
const shadowColumns = { enabled: 'u8', doorbells: 'f64', eventIndexes: 'f64' } as const;

/** Bytes of each buffer: a tail and a head for every queue (NVMe Base 2.0, 5.8). */
export const shadowBytes = 2 * queueCount * 4;

/**
 * Doorbells in the guest's memory (NVMe Base 2.0, 5.8 and B.5). While the device is awake it polls them; before it sleeps it sets each
 * EventIdx to what it has seen, and looks once more. A stale EventIdx is only passed again after a whole lap of the queue, so an awake device
 * leaves it as it is. The admin queue has no shadow: drivers do not write it, whatever the specification says.
 */
export class ShadowDoorbells {
  readonly #controller: Controller;
  readonly #rows;
  /** As in the arena, where a successor finds it. */
  enabled = false;

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#rows = controller.host.state.table('nvme/shadow-doorbells', shadowColumns, 1);
    this.enabled = this.#rows.enabled[0] !== 0;
  }

  /** Both addresses are page-aligned. */
  enable(doorbells: number, eventIndexes: number): void {
    this.#rows.doorbells[0] = doorbells;
    this.#rows.eventIndexes[0] = eventIndexes;
    this.#rows.enabled[0] = 1;
    this.enabled = true;
    for (const queue of this.#controller.queues.active) queue.rows.seen[queue.id] = queue.tail;
    for (const queue of this.#controller.queues.activeCompletion) queue.rows.seen[queue.id] = queue.head;
    // A driver that has not written its shadows yet has zeroes there, which are no news.
    for (const queue of this.#controller.queues.active)
      if (this.#peek(2 * queue.id) === 0) queue.rows.seen[queue.id] = 0;
    for (const queue of this.#controller.queues.activeCompletion) {
      if (this.#peek(2 * queue.id + 1) === 0) queue.rows.seen[queue.id] = 0;
    }
  }

  forget(): void {
    this.#rows.enabled[0] = 0;
    this.enabled = false;
  }

  /** Looks at every tail. True when one was new. */
  look(): boolean {
    const active = this.#controller.queues.active;
    let rung = false;
    for (let index = 0; index < active.length; index++) {
      if (active[index]!.id !== 0 && this.#lookAtTail(active[index]!)) rung = true;
    }
    return rung;
  }

  #lookAtTail(queue: SubmissionQueue): boolean {
    const { rows, id } = queue;
    const tail = this.#peek(2 * id);
    if (tail < 0 || tail === rows.seen[id]) return false;
    rows.seen[id] = tail;
    rows.shadowed[id] = 1;
    this.#controller.doorbells.submitted(queue, tail);
    return true;
  }

  lookAtHead(queue: CompletionQueue): void {
    const { rows, id } = queue;
    if (id === 0) return;
    const head = this.#peek(2 * id + 1);
    if (head < 0 || head === rows.seen[id]) return;
    rows.seen[id] = head;
    rows.shadowed[id] = 1;
    this.#controller.doorbells.consumed(queue, head);
  }

  /** The queue's trapped tail was written. True when its shadow says it, and the value written is not to be used. */
  trapped(queue: SubmissionQueue): boolean {
    if (!this.enabled || queue.id === 0) return false;
    this.#lookAtTail(queue);
    return queue.rows.shadowed[queue.id] !== 0;
  }

  trappedHead(queue: CompletionQueue): boolean {
    if (!this.enabled || queue.id === 0) return false;
    this.lookAtHead(queue);
    return queue.rows.shadowed[queue.id] !== 0;
  }

  /** Asks for trapped writes from here on, and looks once more: false when something has come meanwhile. */
  arm(heads: boolean): boolean {
    const { queues } = this.#controller;
    for (const queue of queues.active) if (queue.id !== 0) this.#poke(2 * queue.id, queue.rows.seen[queue.id]!);
    let quiet = !this.look();
    for (const queue of queues.activeCompletion) {
      if (queue.id === 0 || (!heads && queue.hasRoom)) continue;
      const had = queue.head;
      this.#poke(2 * queue.id + 1, queue.rows.seen[queue.id]!);
      this.lookAtHead(queue);
      if (queue.head !== had) quiet = false;
    }
    return quiet;
  }

  #peek(word: number): number {
    return this.#controller.host.memory.peekWord(this.#rows.doorbells[0]! + word * 4);
  }

  #poke(word: number, value: number): void {
    this.#controller.host.memory.pokeWord(this.#rows.eventIndexes[0]! + word * 4, value);
  }
}

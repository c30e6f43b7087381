import type { Controller } from '../controller.ts';
import { queueCount } from '../limits.ts';
import type { CompletionQueue } from './completion-queue.ts';
import type { SubmissionQueue } from './submission-queue.ts';

/** The shadow doorbell and EventIdx buffers, from Doorbell Buffer Config to the next reset. */
const shadowColumns = { enabled: 'u8', doorbells: 'f64', eventIndexes: 'f64' } as const;

/** No doorbell has been trapped. */
const none = -1;

/** Bytes of each buffer: a tail and a head for every queue (NVMe Base 2.0, 5.8). */
export const shadowBytes = 2 * queueCount * 4;

/**
 * Doorbells in the guest's memory (NVMe Base 2.0, 5.8 and B.5). While the device is awake it polls them; before it sleeps it sets each
 * EventIdx to the tail or head that it has, and looks once more. A stale EventIdx is only passed again after a whole lap of the queue, so an awake device
 * leaves it as it is, unless the pin is asserted. The admin queue has no shadow: drivers do not write it, whatever the specification says.
 */
export class ShadowDoorbells {
  readonly #controller: Controller;
  readonly #rows;
  /** As in the arena, where a successor finds it. */
  enabled = false;
  /** Some queue's `trapped` is set; a successor looks at them all. */
  #trapped = true;

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
    // A driver that has not written its shadows yet has zeroes there, which are no news.
    for (const { rows, id, tail } of this.#controller.queues.active) {
      rows.seen[id] = this.#peek(2 * id) === 0 ? 0 : tail;
      rows.shadowed[id] = 0;
    }
    for (const { rows, id, head } of this.#controller.queues.activeCompletion) {
      rows.seen[id] = this.#peek(2 * id + 1) === 0 ? 0 : head;
      rows.shadowed[id] = 0;
    }
  }

  /**
   * A queue has been created: what its shadow says is of another before it, and the first that the driver writes may be the same again. So the first
   * is asked for as a trapped write, which counts until the shadow has changed (B.5).
   */
  created(queue: SubmissionQueue): void {
    if (!this.enabled) return;
    queue.rows.seen[queue.id] = Math.max(0, this.#peek(2 * queue.id));
    this.#poke(2 * queue.id, queue.tail);
  }

  createdCompletion(queue: CompletionQueue): void {
    if (!this.enabled) return;
    queue.rows.seen[queue.id] = Math.max(0, this.#peek(2 * queue.id + 1));
    this.#poke(2 * queue.id + 1, queue.head);
  }

  forget(): void {
    this.#rows.enabled[0] = 0;
    this.enabled = false;
  }

  /** Looks at every tail. True when one was new. */
  look(): boolean {
    const active = this.#controller.queues.active;
    let rung = this.#trapped && this.#settleTrapped();
    for (let index = 0; index < active.length; index++) {
      if (this.#lookAtTail(active[index]!)) rung = true;
    }
    return rung;
  }

  #lookAtTail(queue: SubmissionQueue): boolean {
    const { rows, id } = queue;
    if (id === 0) return false;
    const tail = this.#peek(2 * id);
    if (tail < 0 || tail === rows.seen[id]! >>> 0) return false;
    rows.seen[id] = tail;
    rows.shadowed[id] = 1;
    this.#controller.doorbells.submitted(queue, tail);
    return true;
  }

  lookAtHead(queue: CompletionQueue): void {
    const { rows, id } = queue;
    if (id === 0) return;
    const head = this.#peek(2 * id + 1);
    if (head < 0 || head === rows.seen[id]! >>> 0) return;
    rows.seen[id] = head;
    rows.shadowed[id] = 1;
    this.#controller.doorbells.consumed(queue, head);
  }

  /**
   * A doorbell of the queue was written by a trapped access, which looks at no guest memory: `look` decides what it means. False when there is no
   * shadow, or the value can't be right: it counts at once.
   */
  trapped(queue: SubmissionQueue | CompletionQueue, value: number): boolean {
    if (!this.enabled || queue.id === 0 || value >>> 0 >= queue.entries) return false;
    queue.rows.trapped[queue.id] = value;
    this.#trapped = true;
    return true;
  }

  /**
   * What was trapped since the last look. It may be older than the shadow, so where the driver writes its shadow only that counts. Before anything else:
   * as long as the queue stands still its doorbell can't have gone round to zero, which would look as if it had never been written.
   */
  #settleTrapped(): boolean {
    this.#trapped = false;
    let rung = false;
    const { doorbells, queues } = this.#controller;
    for (const queue of queues.active) {
      const { rows, id } = queue;
      const tail = rows.trapped[id]!;
      rows.trapped[id] = none;
      if (this.#lookAtTail(queue)) rung = true;
      if (tail === none || rows.shadowed[id] !== 0) continue;
      doorbells.submitted(queue, tail);
      rung = true;
    }
    for (const queue of queues.activeCompletion) {
      const { rows, id } = queue;
      const head = rows.trapped[id]!;
      rows.trapped[id] = none;
      this.lookAtHead(queue);
      if (head !== none && rows.shadowed[id] === 0) doorbells.consumed(queue, head);
    }
    return rung;
  }

  /** What is known of the heads by now, trapped or stored. */
  lookAtHeads(): void {
    if (this.#trapped) this.#settleTrapped();
    for (const queue of this.#controller.queues.activeCompletion) this.lookAtHead(queue);
  }

  /** Asks for a trapped write when entries of this queue are consumed that it has now, and looks once more. */
  askForHead(queue: CompletionQueue): void {
    if (queue.id === 0) return;
    this.#poke(2 * queue.id + 1, queue.head);
    this.lookAtHead(queue);
  }

  /** Asks for a trapped write when commands are submitted that complete in this queue. What comes meanwhile is polled. */
  askForTails(completions: CompletionQueue): void {
    for (const queue of this.#controller.queues.active) {
      if (queue.id !== 0 && queue.completions === completions) this.#poke(2 * queue.id, queue.tail);
    }
  }

  /** Asks for trapped writes from here on, and looks once more: false when something has come meanwhile. */
  arm(heads: boolean): boolean {
    const { queues } = this.#controller;
    for (const queue of queues.active) if (queue.id !== 0) this.#poke(2 * queue.id, queue.tail);
    let quiet = !this.look();
    for (const queue of queues.activeCompletion) {
      // Room for two: a pair of fused commands waits for as much.
      if (queue.id === 0 || (!heads && queue.hasRoomFor(2))) continue;
      const had = queue.head;
      this.askForHead(queue);
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

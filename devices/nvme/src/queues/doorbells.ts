import type { HostBuffer, MappableMemory, RegisterFile } from '@sidecard/core';
import { ErrorEvent } from '../admin/events.ts';
import type { Controller } from '../controller.ts';
import { queueCount } from '../limits.ts';
import { DoorbellRegisters } from '../registers.ts';
import type { CompletionQueue } from './completion-queue.ts';
import type { Queues } from './queues.ts';
import { ShadowDoorbells } from './shadow-doorbells.ts';
import type { SubmissionQueue } from './submission-queue.ts';

/**
 * How the guest says that queues have moved (NVMe over PCIe Transport 1.0, 3.1.2). Trapped: its write is an access to a register, and work is
 * deferred. Mapped: it is a store into a page that is polled. Shadow (Doorbell Buffer Config, Base 2.0, 5.8): a store into the
 * guest's own memory, and a trapped write only where EventIdx asks for one.
 */
export class Doorbells {
  readonly #controller: Controller;
  /** The mapped page's words: tail and head, by queue. */
  readonly #words: Int32Array | null;
  readonly #queues: Queues;
  readonly #seen: Int32Array;
  readonly registers: RegisterFile<typeof DoorbellRegisters.declaration> | null;
  readonly shadow: ShadowDoorbells;

  /** @param page the page to map into the guest; null: doorbells are trapped. */
  constructor(controller: Controller, page: MappableMemory | null) {
    this.#controller = controller;
    this.#queues = controller.queues;
    this.#seen = this.#queues.submission[0]!.rows.seen;
    this.shadow = new ShadowDoorbells(controller);
    this.#words = page === null ? null : page.memory.words;
    this.registers =
      page === null ? this.#trap(controller.host.state.bytes('nvme/doorbells', DoorbellRegisters.sizeBytes)) : null;
  }

  /** Nothing wakes the process when one is rung. */
  get mapped(): boolean {
    return this.#words !== null;
  }
  /** They are worth looking at on every turn. */
  get polled(): boolean {
    return this.#words !== null || this.shadow.enabled;
  }

  /** Looks at the tails of the queues that exist. True when one was new. */
  look(): boolean {
    const words = this.#words;
    if (words === null) return this.shadow.enabled && this.shadow.look();
    const ids = this.#queues.activeIds;
    const seen = this.#seen;
    const count = this.#queues.activeCount;
    let rung = false;
    for (let index = 0; index < count; index++) {
      const id = ids[index]!;
      const tail = words[2 * id]!;
      if (tail === seen[id]) continue;
      seen[id] = tail;
      this.submitted(this.#queues.submission[id]!, tail);
      rung = true;
    }
    return rung;
  }

  /** Looks at a head that nobody traps. True when the queue now has room. */
  lookAtHead(queue: CompletionQueue): boolean {
    if (this.#words !== null) {
      const head = this.#words[2 * queue.id + 1]!;
      if (head !== queue.rows.seen[queue.id]) {
        queue.rows.seen[queue.id] = head;
        this.consumed(queue, head);
      }
    } else if (this.shadow.enabled) {
      this.shadow.lookAtHead(queue);
    }
    return queue.hasRoom;
  }

  /** The same for all queues; for the level of INTA#, which falls when they are empty. */
  lookAtHeads(): void {
    if (this.shadow.enabled) this.shadow.lookAtHeads();
    else for (const queue of this.#controller.queues.activeCompletion) this.lookAtHead(queue);
  }

  /** A submission queue has been created: what its doorbell was before means nothing. */
  created(queue: SubmissionQueue): void {
    if (this.#words !== null) this.#words[2 * queue.id] = 0;
    this.shadow.created(queue);
  }

  createdCompletion(queue: CompletionQueue): void {
    if (this.#words !== null) this.#words[2 * queue.id + 1] = 0;
    this.shadow.createdCompletion(queue);
  }

  /** Every controller-level reset: the guest's buffers are its own again, before RDY falls. */
  reset(): void {
    this.shadow.forget();
    this.#words?.fill(0, 0, 2 * queueCount);
  }

  submitted(queue: SubmissionQueue, tail: number): void {
    if (tail >>> 0 >= queue.entries) this.#controller.events.error(ErrorEvent.invalidDoorbellValue);
    else queue.rows.tail[queue.id] = tail;
  }

  consumed(queue: CompletionQueue, head: number): void {
    if (queue.consume(head >>> 0)) this.#controller.interrupts.consumed(queue.vector);
    else this.#controller.events.error(ErrorEvent.invalidDoorbellValue);
  }

  #trap(bytes: HostBuffer): RegisterFile<typeof DoorbellRegisters.declaration> {
    return DoorbellRegisters.create(bytes, {
      queue: {
        tail: { write: (tail, _was, id) => this.#tailWritten(id, tail) },
        head: { write: (head, _was, id) => this.#headWritten(id, head) },
      },
    });
  }

  #tailWritten(id: number, tail: number): void {
    const controller = this.#controller;
    if (!controller.running) return;
    const queue = controller.queues.submission[id];
    if (queue === undefined || !queue.created) controller.events.error(ErrorEvent.invalidDoorbellRegister);
    else if (!this.shadow.trapped(queue, tail)) this.submitted(queue, tail);
    controller.wake();
  }

  #headWritten(id: number, head: number): void {
    const controller = this.#controller;
    if (!controller.running) return;
    const queue = controller.queues.completion[id];
    if (queue === undefined || !queue.created) controller.events.error(ErrorEvent.invalidDoorbellRegister);
    else if (!this.shadow.trapped(queue, head)) this.consumed(queue, head);
    controller.wake();
  }
}

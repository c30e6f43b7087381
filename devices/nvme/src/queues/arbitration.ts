import type { Controller } from '../controller.ts';
import type { SubmissionQueue } from './submission-queue.ts';

/** CC.AMS (NVMe Base 2.0, 3.1.3.5). */
export const ArbitrationMechanism = { roundRobin: 0, weightedRoundRobin: 1 } as const;

/** QPRIO of Create I/O Submission Queue: the class of a queue. */
const Priority = { urgent: 0, high: 1, medium: 2, low: 3 } as const;
const weighted = [Priority.high, Priority.medium, Priority.low] as const;

/**
 * Weighted round robin with urgent priority class (NVMe Base 2.0, 3.4.4.2). Strictly first comes the admin queue, then the queues of the urgent class; the
 * others share what is left by the weights of feature 01h. A queue that waits for room or for a slot holds up nobody.
 */
export class WeightedRoundRobin {
  readonly #controller: Controller;
  /** By class: the queue id after which the next round begins. Only who comes first among equals, so no state. */
  readonly #last = [0, 0, 0, 0];

  constructor(controller: Controller) {
    this.#controller = controller;
  }

  /** One round. True when anything was fetched. */
  serve(): boolean {
    const { queues, processor, features } = this.#controller;
    const admin = processor.serve(queues.submission[0]!, features.burst) > 0;
    // The others have their turn when it has nothing more that can be fetched.
    if (this.#serveOnce(Priority.urgent, Number.POSITIVE_INFINITY) > 0) return true;
    let worked = admin;
    for (const priority of weighted) {
      let credits = this.#weight(priority);
      for (let count = -1; count !== 0 && credits > 0; credits -= count) {
        count = this.#serveOnce(priority, credits);
        if (count > 0) worked = true;
      }
    }
    return worked;
  }

  /** A burst of each queue of the class, `most` commands in all. How many it was. */
  #serveOnce(priority: number, most: number): number {
    const controller = this.#controller;
    const members = controller.queues.active.filter((queue) => queue.id !== 0 && queue.priority === priority);
    let served = 0;
    for (const queue of this.#inTurn(members, priority)) {
      if (served >= most || !controller.running) break;
      const count = controller.processor.serve(queue, Math.min(controller.features.burst, most - served));
      if (count === 0) continue;
      served += count;
      this.#last[priority] = queue.id;
    }
    if (served > 0) controller.health.busy.worked();
    return served;
  }

  #inTurn(members: readonly SubmissionQueue[], priority: number): readonly SubmissionQueue[] {
    const first = members.findIndex((queue) => queue.id > this.#last[priority]!);
    return first <= 0 ? members : [...members.slice(first), ...members.slice(0, first)];
  }

  /** HPW, MPW, LPW: 0-based. */
  #weight(priority: number): number {
    const shift = priority === Priority.high ? 24 : priority === Priority.medium ? 16 : 8;
    return ((this.#controller.features.arbitration.value >>> shift) & 0xff) + 1;
  }
}

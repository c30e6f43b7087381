import type { PollSource } from '@sidecard/core';
import type { Controller } from './controller.ts';
import { WeightedRoundRobin } from './queues/arbitration.ts';

/**
 * The controller's work as the reactor drives it: doorbells are looked at, queues served in turn, completions told. What it remembers is only what spares
 * looking: a successor begins with a turn, and tells every queue that has entries (a spurious interrupt is allowed).
 */
export class Turns implements PollSource {
  readonly #controller: Controller;
  readonly #arbitration: WeightedRoundRobin;
  readonly #work = () => {
    this.poll();
  };
  /** There may be something to do that no doorbell tells. */
  #woken = false;
  #working = false;
  /** A queue waits for what nobody wakes us for: room in a completion queue whose head is not trapped, or bus mastering. */
  #blocked = false;
  /** INTA# is asserted, and heads of completion queues come by stores. */
  #asserted = false;
  /** CC.AMS, which is fixed while enabled: weighted round robin. */
  weighted = false;
  /** Called once nothing is in flight. */
  whenIdle: (() => void) | null = null;

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#arbitration = new WeightedRoundRobin(controller);
  }

  poll(): boolean {
    const { running, doorbells } = this.#controller;
    const rung = running && doorbells.look();
    if (rung || this.#woken || this.#blocked) return this.#turn();
    if (!running) return false;
    if (this.#asserted) this.#updatePin();
    return false;
  }

  arm(): boolean {
    const { doorbells, host, running } = this.#controller;
    if (this.#woken) return false;
    if (!running || !host.busMaster) return true;
    if (doorbells.shadow.enabled && !doorbells.shadow.arm(host.interrupt.mode === 'intx')) this.#woken = true;
    if (doorbells.mapped && doorbells.look()) this.#woken = true;
    return !this.#woken;
  }

  get silent(): boolean {
    return this.#controller.doorbells.mapped && this.#controller.running;
  }

  /** There is something to do, and it is done before the reactor sleeps. */
  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    if (!this.#working) this.#controller.host.defer(this.#work);
  }

  /** Fetches, runs and completes what there is, and tells the guest, once for all of it. */
  #turn(): boolean {
    const controller = this.#controller;
    const woken = this.#woken;
    this.#woken = false;
    this.#blocked = false;
    this.#working = true;
    let worked = false;
    try {
      if (controller.running) worked = this.#serve();
      if (controller.shutdown.underWay) controller.shutdown.work();
    } finally {
      this.#working = false;
    }
    controller.namespaces.commit();
    controller.processor.interrupt();
    this.#updatePin();
    if (this.whenIdle !== null && controller.inFlight === 0) this.whenIdle();
    return worked || woken;
  }

  #serve(): boolean {
    const controller = this.#controller;
    if (!controller.host.busMaster) {
      this.#blocked = true;
      return false;
    }
    const resumed = controller.processor.waitingRoom.serve();
    const served = this.weighted ? this.#serveWeighted() : this.#serveRoundRobin();
    if (controller.running) controller.events.deliver();
    return served || resumed;
  }

  /** NVMe Base 2.0, 3.4.4.1. */
  #serveRoundRobin(): boolean {
    const controller = this.#controller;
    const { active } = controller.queues;
    const { burst } = controller.features;
    let worked = false;
    for (let index = 0; index < active.length && controller.running; index++) {
      const queue = active[index]!;
      const served = controller.processor.serve(queue, burst) > 0;
      if (served) {
        worked = true;
        if (queue.id !== 0) controller.health.busy.worked();
      }
      if (queue.isEmpty) continue;
      // A burst has an end; what is left is for the next turn.
      if (served) this.#woken = true;
      else if (controller.doorbells.polled) this.#blocked = true;
    }
    return worked;
  }

  #serveWeighted(): boolean {
    const { queues, doorbells } = this.#controller;
    const worked = this.#arbitration.serve();
    if (queues.active.every((queue) => queue.isEmpty)) return worked;
    if (worked) this.#woken = true;
    else if (doorbells.polled) this.#blocked = true;
    return worked;
  }

  /** Brings INTA# up to date. While it is asserted it may fall by a store that nobody traps. */
  #updatePin(): void {
    const { host, doorbells, interrupts } = this.#controller;
    if (host.interrupt.mode !== 'intx') return;
    interrupts.update();
    this.#asserted = doorbells.polled && interrupts.level;
  }
}

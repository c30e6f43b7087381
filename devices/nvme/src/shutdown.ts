import { BlockRequest } from '@sidecard/block';
import type { Controller } from './controller.ts';
import type { Namespace } from './namespaces/namespace.ts';
import { ShutdownStatus } from './registers.ts';

/**
 * Normal and abrupt shutdown (NVMe Base 2.0, 3.6): both are complete when what was acknowledged is durable. CSTS.SHST is all that lasts: a successor
 * that finds it processing flushes every drive again.
 */
export class Shutdown extends BlockRequest {
  readonly #controller: Controller;
  /** Of the namespace whose drive was flushed last, or is being flushed. */
  #nsid = 0;
  #namespace: Namespace | null = null;
  /** A flush is at a drive. */
  busy = false;
  /** The drive did not answer the last one in time. */
  #stalled = false;

  constructor(controller: Controller) {
    super();
    this.#controller = controller;
    this.operation = 'flush';
  }

  get underWay(): boolean {
    return this.#controller.registers.csts.shst === ShutdownStatus.processing;
  }

  /** CC.SHN was written. Commands in flight end first; nothing more is fetched. */
  begin(): void {
    this.#controller.registers.csts.shst = ShutdownStatus.processing;
    this.#nsid = 0;
    this.#controller.wake();
  }

  /** Goes on as far as it can. */
  work(): void {
    const { namespaces, processor, registers, quiescing } = this.#controller;
    // A daemon that ends asks a drive that has stalled no more: nothing is complete then.
    if (processor.inFlight > 0 || (this.#stalled && quiescing)) return;
    while (this.underWay && !this.busy) {
      if (this.#nsid === namespaces.limit) {
        registers.csts.shst = ShutdownStatus.complete;
        return;
      }
      const namespace = namespaces.allocated(++this.#nsid);
      if (namespace === null || namespace.readOnly) continue;
      namespace.enter();
      this.#namespace = namespace;
      this.busy = true;
      if (!namespace.submit(this)) namespace.commit();
      else if (!this.#ended()) {
        this.#controller.wake();
        return;
      }
    }
  }

  done(): void {
    this.#ended();
    this.#controller.drained();
    this.#controller.wake();
  }

  /** False when the drive is to be asked again: complete is only what is durable. */
  #ended(): boolean {
    this.busy = false;
    const namespace = this.#namespace!;
    this.#namespace = null;
    const { health } = this.#controller;
    this.#stalled = health.isStall(this.error);
    if (this.#stalled) this.#nsid--;
    else if (this.error !== 0) health.flushFailed(namespace, this.error);
    namespace.leave();
    return !this.#stalled;
  }
}

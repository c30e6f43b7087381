import { BlockRequest } from '@sidecard/block';
import type { Controller } from './controller.ts';
import { ShutdownStatus } from './registers.ts';

/**
 * Normal and abrupt shutdown (NVMe Base 2.0, 3.6): both are complete when what was acknowledged is durable. CSTS.SHST is all that lasts: a successor
 * that finds it processing flushes every drive again.
 */
export class Shutdown extends BlockRequest {
  readonly #controller: Controller;
  #next = 0;
  /** A flush is at a drive. */
  busy = false;

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
    this.#next = 0;
    this.#controller.wake();
  }

  /** Goes on as far as it can. */
  work(): void {
    const { namespaces, processor, registers } = this.#controller;
    if (processor.inFlight > 0) return;
    while (this.underWay && !this.busy) {
      const namespace = namespaces[this.#next++];
      if (namespace === undefined) {
        registers.csts.shst = ShutdownStatus.complete;
        return;
      }
      if (namespace.readOnly) continue;
      this.busy = true;
      if (namespace.submit(this)) this.#ended();
      else namespace.commit();
    }
  }

  done(): void {
    this.#ended();
    this.#controller.drained();
    this.#controller.wake();
  }

  #ended(): void {
    this.busy = false;
    const namespace = this.#controller.namespaces[this.#next - 1];
    if (this.error !== 0 && namespace !== undefined) this.#controller.health.flushFailed(namespace, this.error);
  }
}

import type { ColumnArrays, Timer } from '@sidecard/core';
import type { Controller } from '../controller.ts';

const busyColumns = { busyMs: { type: 'f64', unit: 'ms' } } as const;

/** How often it is looked at while there is work, ms; the SMART log tells minutes. */
const tickMs = 100;

/**
 * Controller Busy Time (NVMe Base 2.0, 5.16.1.3): how long there has been a command in an I/O queue, as far as ticks tell. Commands cost nothing by
 * it: a turn of the reactor with work leaves a flag, and the clock stops when a tick finds neither that nor a command in flight.
 */
export class BusyTime {
  readonly #controller: Controller;
  readonly #rows: ColumnArrays<typeof busyColumns>;
  #worked = false;
  #timer: Timer | null = null;
  readonly #tick = () => {
    this.#timer = null;
    if (!this.#worked && !this.#inFlight) return;
    this.#rows.busyMs[0] = this.#rows.busyMs[0]! + tickMs;
    this.#worked = false;
    this.#start();
  };

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#rows = controller.host.state.table('nvme/health/busy', busyColumns, 1);
  }

  get seconds(): number {
    return this.#rows.busyMs[0]! / 1000;
  }
  get minutes(): number {
    return Math.floor(this.seconds / 60);
  }

  /** Commands of I/O queues were fetched in this turn. */
  worked(): void {
    this.#worked = true;
    if (this.#timer === null) this.#start();
  }

  /** The clock stops, whatever is in flight. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#worked = false;
  }

  #start(): void {
    this.#timer = this.#controller.host.clock.setTimer(tickMs, this.#tick);
  }

  get #inFlight(): boolean {
    return this.#controller.queues.active.some((queue) => queue.id !== 0 && queue.inFlight > 0);
  }
}

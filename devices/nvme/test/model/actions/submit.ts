import { liveQueue, pick } from '../commands/events.ts';
import type { Model } from '../model.ts';
import type { Plan } from '../pending.ts';
import { Action } from './action.ts';

/** Submits commands, one doorbell for all of them; or none yet. */
export class Submit extends Action {
  readonly #queue: number;
  readonly #plans: readonly Plan[];
  readonly #rings: boolean;

  /** @param queue the admin queue, or which of the I/O queues that there are. */
  constructor(queue: 'admin' | number, plans: readonly Plan[], rings: boolean) {
    super();
    this.#queue = queue === 'admin' ? -1 : queue;
    this.#plans = plans;
    this.#rings = rings;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled';
  }

  act(model: Model): void {
    const ring = this.#queue < 0 ? model.submission.get(0) : pick(model.ioQueues, this.#queue);
    if (ring === undefined) return;
    for (const plan of this.#plans) {
      if (ring.full) break;
      const planned = plan.plan(model);
      const commands = planned === null ? [] : [planned].flat();
      if (commands.length <= ring.room) for (const command of commands) model.submit(ring, command);
      else for (const { transfer } of commands) transfer?.free();
    }
    if (this.#rings) ring.ring();
  }

  toString(): string {
    const where = this.#queue < 0 ? 'admin' : `queue ${this.#queue}`;
    return `${where}: ${this.#plans.map(String).join(', ')}${this.#rings ? '' : ' (not rung)'}`;
  }
}

/** A doorbell with a value that no queue can have, or of a queue that is not there (NVMe over PCIe Transport 1.0, 3.1.2). */
export class WrongDoorbell extends Action {
  readonly #queue: number;
  readonly #which: 'tail' | 'head' | 'ahead';

  constructor(queue: number, which: 'tail' | 'head' | 'ahead') {
    super();
    this.#queue = queue;
    this.#which = which;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled';
  }

  act(model: Model): void {
    const bells = model.trapped!;
    const ring = this.#queue > 5 ? undefined : liveQueue(model, this.#queue);
    if (ring === undefined) {
      model.errorLog.may();
      model.events.happened(0, 0, true);
      if (this.#which === 'tail') bells.tail(50, 1);
      else bells.head(50, 1);
      return;
    }
    const { completions } = ring;
    // Beyond what was posted can only be said while nothing is.
    const users = [...model.submission.values()].filter((one) => one.completions === completions);
    if (this.#which === 'ahead' && (completions.ready || users.some(({ pending }) => pending.size > 0))) return;
    model.errorLog.may();
    // With shadow doorbells a trapped write only says that there is news.
    model.events.happened(0, 1, model.doorbells === bells);
    if (this.#which === 'tail') bells.tail(ring.id, 0xffff);
    else if (this.#which === 'head') bells.head(completions.id, completions.entries);
    else bells.head(completions.id, (completions.head + 1) % completions.entries);
  }

  toString(): string {
    return `wrong doorbell ${this.#queue} ${this.#which}`;
  }
}

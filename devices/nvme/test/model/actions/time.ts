import { asyncEventRequests } from '../../../src/limits.ts';
import { EventRequest } from '../commands/events.ts';
import type { Model } from '../model.ts';
import type { Real } from '../real.ts';
import { must } from '../violation.ts';
import { Action } from './action.ts';

/** The device, its drives and the machine have some time. */
export class Turns extends Action {
  readonly #count: number;

  constructor(count: number) {
    super();
    this.#count = count;
  }

  act(_model: Model, real: Real): Promise<void> {
    return real.turn(this.#count);
  }

  toString(): string {
    return `turns ${this.#count}`;
  }
}

/** The driver looks at its completion queues, and takes some of what is there. */
export class Reap extends Action {
  readonly #most: number;

  constructor(most: number) {
    super();
    this.#most = most;
  }

  act(model: Model, real: Real): void {
    // What is told from here on is of entries that are left, or new.
    if (this.#most >= 1000) real.takeInterrupts();
    if (this.#most >= 1000) real.signalled.clear();
    model.reapAll(this.#most);
  }

  toString(): string {
    return `reap ${this.#most}`;
  }
}

/** Everything that was submitted completes; then nothing is as it may be, but as it is. */
export class Drain extends Action {
  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled';
  }

  act(model: Model, real: Real): Promise<void> {
    return drain(model, real);
  }

  toString(): string {
    return 'drain';
  }
}

export async function drain(model: Model, real: Real): Promise<void> {
  for (const drive of real.drives) drive.stalled = false;
  for (const ring of model.submission.values()) if (ring.state === 'live') ring.ring();
  const waiting = () => model.inFlight.filter((one) => !(one instanceof EventRequest));
  for (let round = 0; waiting().length > 0; round++) {
    // No register is read meanwhile: that would wake a device which sleeps, and is to be woken by what the driver has to tell.
    must(round < 300, () => `${waiting().join('; ')}: never completed, and CSTS is ${real.csts.value}`);
    await real.turn(20);
    await reapTold(model, real);
  }
  must(real.status === 1, () => `CSTS is ${real.csts.value}`);
  // Events, interrupts and whatever should not come.
  await real.turn(100);
  await reapTold(model, real);
  const requests = model.inFlight.length;
  must(requests <= asyncEventRequests, () => `${requests} event requests are outstanding`);
  if (requests > 0) model.events.checkTold();
  for (const [index, { errors }] of model.drives.entries()) {
    const told = errors.filter(({ operation }) => operation !== 'flush');
    must(told.length === 0, () => `drive ${index} failed ${JSON.stringify(told)}, and no command`);
  }
  model.lookAtDrives();
}

/** Takes everything, of queues that have told that there is something: those with interrupts have, since somebody looked last. */
async function reapTold(model: Model, real: Real): Promise<void> {
  if (real.setup.msix) {
    const ready = [...model.completion.values()].filter(
      (ring) => ring.ready && ring.vector !== null && ring.state === 'live',
    );
    // An interrupt comes a moment after the entry; coalescing (feature 08h) may add up to 25.5 ms.
    const silent = () => ready.some(({ vector }) => !real.signalled.has(vector!));
    for (let round = 0; round < 20 && (round === 0 || silent()); round++) {
      await real.turn(10);
      real.server.clock.advance(26);
      real.takeInterrupts();
    }
    for (const { id, vector } of ready) {
      must(real.signalled.has(vector!), () => `queue ${id} has entries, and vector ${vector} did not tell`);
    }
    real.signalled.clear();
  }
  model.reapAll(1000);
}

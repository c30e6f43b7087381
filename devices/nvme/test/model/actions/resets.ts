import { Command } from '@sidecard/core';
import { planDoorbellBuffers } from '../commands/doorbell-buffers.ts';
import { flushMayFail } from '../commands/flush.ts';
import { planCompletionQueue, planSubmissionQueue } from '../commands/queues.ts';
import { PAGE } from '../guest-pages.ts';
import type { Model } from '../model.ts';
import type { Pending } from '../pending.ts';
import type { Real } from '../real.ts';
import { CompletionRing, SubmissionRing } from '../rings.ts';
import { must } from '../violation.ts';
import { Action } from './action.ts';
import { drain } from './time.ts';

/** Enables the controller (NVMe Base 2.0, 3.5.1) and creates I/O queues. */
export class Start extends Action {
  readonly #adminEntries: number;
  readonly #queues: readonly { readonly entries: number; readonly shared: boolean }[];

  constructor(adminEntries: number, queues: readonly { readonly entries: number; readonly shared: boolean }[]) {
    super();
    this.#adminEntries = adminEntries;
    this.#queues = queues;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'disabled';
  }

  async act(model: Model, real: Real): Promise<void> {
    const { registers, trapped } = real.driver;
    const { memory } = model;
    const entries = this.#adminEntries;
    model.doorbells = trapped;
    model.trapped = trapped;
    const vector = real.setup.msix ? 0 : null;
    model.vectors = real.setup.msix ? 4 : 0;
    const completions = new CompletionRing(memory, memory.take()!, 0, entries, vector, trapped);
    const ring = new SubmissionRing(memory, memory.take()!, 0, entries, completions, trapped);
    completions.state = 'live';
    ring.state = 'live';
    model.completion.set(0, completions);
    model.submission.set(0, ring);
    registers.aqa = ((entries - 1) << 16) | (entries - 1);
    registers.asq = ring.iova;
    registers.acq = completions.iova;
    registers.cc.value = (4 << 20) | (6 << 16) | 1;
    await real.until(() => registers.csts.rdy === 1, 'CSTS.RDY');
    model.state = 'enabled';
    const run = async (command: Pending | null) => {
      if (command !== null) model.submit(ring, command);
      await drain(model, real);
    };
    if (model.mapped && real.setup.shadow) await run(planDoorbellBuffers(model));
    for (const [index, queue] of this.#queues.entries()) {
      const own = real.setup.msix ? index % 4 : null;
      if (!queue.shared || index === 0) await run(planCompletionQueue(model, queue.entries, own));
      await run(planSubmissionQueue(model, queue.entries, index));
    }
  }

  toString(): string {
    return `start ${this.#adminEntries} ${this.#queues.map(({ entries, shared }) => `${entries}${shared ? '*' : ''}`)}`;
  }
}

/** "NVMe" (3.1.3.7). */
const subsystemResetKey = 0x4e56_4d65;

export type ResetKind = 'cc' | 'subsystem' | 'function' | 'device' | 'client';

/** A reset of any level, at any moment (3.7). When it is answered, nothing of before touches memory or drive any more. */
export class Reset extends Action {
  readonly #kind: ResetKind;
  readonly #turns: number;

  constructor(kind: ResetKind, turns: number) {
    super();
    this.#kind = kind;
    this.#turns = turns;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state !== 'disabled' || this.#kind !== 'cc';
  }

  async act(model: Model, real: Real): Promise<void> {
    for (const drive of real.drives) drive.stalled = false;
    const beyondController = this.#kind !== 'cc' && this.#kind !== 'subsystem';
    if (beyondController) {
      model.health.unsafeShutdowns.add(1, false);
      if (this.#kind === 'device') model.health.powerCycles.add(1, false);
    }
    switch (this.#kind) {
      case 'cc':
        await disable(real, this.#turns);
        break;
      case 'subsystem':
        real.driver.registers.nssr = subsystemResetKey;
        await real.turn(this.#turns);
        await real.until(() => real.driver.registers.csts.rdy === 0, 'CSTS.RDY to fall');
        break;
      case 'function':
        await real.functionLevelReset();
        break;
      case 'device':
        await real.request(Command.deviceReset);
        break;
      case 'client':
        real.hangUp();
        for (let turn = 0; turn < this.#turns; turn++) real.server.server.turn();
        real.connect();
        await disable(real, 0);
        break;
    }
    if (beyondController) real.serveOldWrites();
    const told = this.#kind !== 'subsystem' || real.csts.nssro === 1;
    must(real.status === 0 && told, () => `CSTS is ${real.csts.value} after a reset`);
    model.memory.check(`${this}`);
    model.reset();
    if (this.#kind === 'function' || this.#kind === 'device') real.restart();
    real.signalled.clear();
  }

  toString(): string {
    return `reset ${this.#kind} ${this.#turns}`;
  }
}

/** CC.EN to 0, and waits for CSTS.RDY (3.7.2). */
async function disable(real: Real, turns: number): Promise<void> {
  const { registers } = real.driver;
  registers.cc.value = 0;
  await real.turn(turns);
  await real.until(() => registers.csts.rdy === 0, 'CSTS.RDY to fall');
}

/** CC.SHN, normal or abrupt (3.6): what is in flight ends, and what was acknowledged is durable when SHST says complete. */
export class ShutDown extends Action {
  readonly #abrupt: boolean;

  constructor(abrupt: boolean) {
    super();
    this.#abrupt = abrupt;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled';
  }

  async act(model: Model, real: Real): Promise<void> {
    for (const drive of real.drives) drive.stalled = false;
    model.now++;
    const since = model.now;
    model.state = 'shutDown';
    real.driver.registers.cc.shn = this.#abrupt ? 2 : 1;
    await real.until(() => real.csts.shst === 2, 'the end of the shutdown');
    model.now++;
    for (const disk of model.disks) if (!flushMayFail(model, disk)) disk.checkDurable(since, `${this}`);
  }

  toString(): string {
    return `shut down${this.#abrupt ? ' abruptly' : ''}`;
  }
}

/** The admin queues fit into a page each. */
export const mostAdminEntries = PAGE / 64;

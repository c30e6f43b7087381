import { generator } from '@sidecard/testing';
import fc from 'fast-check';
import type { Way } from '../machine.ts';
import { actions } from './actions/index.ts';
import { Reset, Start } from './actions/resets.ts';
import { WrongDoorbell } from './actions/submit.ts';
import { drain } from './actions/time.ts';
import { EventRequest } from './commands/events.ts';
import { askDefaults, askFeatures } from './commands/features.ts';
import { askLogs, clearErrors } from './commands/information.ts';
import { DiskModel } from './disk-model.ts';
import { Model } from './model.ts';
import { ModelDrive } from './model-drive.ts';
import type { Pending } from './pending.ts';
import { Real, type Setup } from './real.ts';

const driveBytes = 1 << 16;

const setup: fc.Arbitrary<Setup> = fc.record({
  seed: fc.nat(),
  lbaBytes: fc.constantFrom(512, 512, 4096),
  drives: fc.constantFrom(1, 2),
  readOnly: fc.integer({ min: 0, max: 3 }).map((n) => n === 3),
  volatileCache: fc.integer({ min: 0, max: 3 }).map((n) => n !== 3),
  msix: fc.boolean(),
  slow: fc.boolean(),
  shadow: fc.boolean(),
});

/** What all runs of this process have done. */
export const tally = { histories: 0, commands: 0 };

/** Any sequence of actions leaves model and controller in agreement, and afterwards everything is back. */
export function agreement(
  way: Way,
  replayPath?: string,
): fc.IAsyncProperty<[Setup, Iterable<fc.AsyncCommand<Model, Real, false>>]> {
  const commands = fc.commands<Model, Real, false>(actions, {
    maxCommands: 40,
    size: '+1',
    ...(replayPath !== undefined && { replayPath }),
  });
  return fc.asyncProperty(setup, commands, async (drawn, sequence) => {
    const scene = await begin(way, drawn);
    await fc.asyncModelRun(() => scene, sequence);
    await finish(scene.model, scene.real);
    tally.histories++;
    tally.commands += scene.model.submitted;
  });
}

async function begin(way: Way, drawn: Setup): Promise<{ model: Model; real: Real }> {
  const random = generator(drawn.seed);
  const drives = Array.from(
    { length: drawn.drives },
    (_, index) =>
      new ModelDrive(
        driveBytes,
        index + 1,
        { volatileCache: drawn.volatileCache, readOnly: index === 1 && drawn.readOnly },
        random,
      ),
  );
  for (const drive of drives) drive.slow = drawn.slow;
  const disks = drives.map((drive, index) => new DiskModel(index + 1, drawn.lbaBytes, drive));
  const real = new Real(way, drawn, drives, random);
  const model = new Model({ memory: real.memory, disks, drives, random, mapped: way === 'mapped' });
  await new Start(16, [
    { entries: 16, shared: false },
    { entries: 5, shared: false },
    { entries: 64, shared: true },
  ]).act(model, real);
  await ask(model, real, askDefaults(model));
  return { model, real };
}

/** Asks everything that can be asked, then resets the controller, and looks at what is left. */
async function finish(model: Model, real: Real): Promise<void> {
  if (model.state === 'enabled') await drain(model, real);
  if (model.state === 'shutDown') await new Reset('cc', 0).act(model, real);
  if (model.state === 'disabled') await new Start(16, []).act(model, real);
  await ask(model, real, [...askFeatures(model), ...askLogs(model), clearErrors(model)]);
  // An event is told, whatever was told before.
  await ask(model, real, [new EventRequest(model)]);
  new WrongDoorbell(9, 'tail').act(model);
  await drain(model, real);
  await new Reset('cc', 0).act(model, real);
  await real.turn(50);
  model.memory.check('after the last reset');
  model.lookAtDrives();
  await real.checkReleased();
}

async function ask(model: Model, real: Real, questions: readonly Pending[]): Promise<void> {
  const ring = model.submission.get(0)!;
  for (const question of questions) {
    if (ring.full) await drain(model, real);
    model.submit(ring, question);
  }
  await drain(model, real);
}

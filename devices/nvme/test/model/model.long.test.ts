import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ways } from '../machine.ts';
import { agreement, tally } from './run.ts';

/** Of each kind of memory. */
const runs = 1000;

/** A failure prints the seed, the path and the shrunk history; `pnpm fuzz:nvme` runs it again, and runs more of them. */
test.each(ways)(
  'random histories of model and controller, %s memory',
  async (way) => {
    const before = tally.commands;
    await fc.assert(agreement(way), { numRuns: runs });
    expect(tally.commands - before).toBeGreaterThan(15 * runs);
  },
  300_000,
);

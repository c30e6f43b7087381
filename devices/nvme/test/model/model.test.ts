import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ways } from '../machine.ts';
import { agreement, tally } from './run.ts';

/** A failure prints the seed, the path and the shrunk history; `pnpm fuzz:nvme` runs it again, and runs more of them. */
test.each(ways)(
  '1,000 random histories of model and controller, %s memory',
  async (way) => {
    const before = tally.commands;
    await fc.assert(agreement(way), { numRuns: 1000 });
    expect(tally.commands - before).toBeGreaterThan(20_000);
  },
  120_000,
);

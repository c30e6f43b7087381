/** `pnpm fuzz:nvme -- --minutes 10 --seed N`: the property of model.long.test.ts for as long as one likes. */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { ways } from '../machine.ts';
import { agreement, tally } from './run.ts';

const usage = `usage: fuzz:nvme [--minutes M] [--seed N] [--way mapped|messages] [--path P --replay R]
Random histories of an NVMe controller against a model of it, until M minutes are over (1) or one differs.
A failure prints seed, path and the shrunk history; --seed, --way, --path and --replay (its replayPath) run just that again.`;

/** Histories between two looks at the clock. */
const batch = 100;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((one) => one !== '--'),
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    way: { type: 'string' },
    path: { type: 'string' },
    replay: { type: 'string' },
    help: { type: 'boolean' },
  },
});

async function main(): Promise<number> {
  const chosen = ways.filter((way) => values.way === undefined || way === values.way);
  if (values.help || chosen.length === 0) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const first = values.seed === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : Number(values.seed);
  const end = Date.now() + Number(values.minutes) * 60_000;
  console.log(`seed ${first}, ${values.minutes} min, memory ${chosen.join(' and ')}`);
  for (let round = 0; ; round++) {
    for (const way of chosen) {
      const seed = (first + round) | 0;
      const once = values.path === undefined ? {} : { path: values.path, endOnFailure: true };
      const details = await fc.check(agreement(way, values.replay), { numRuns: batch, seed, ...once });
      if (details.failed) {
        console.log(`\n${way} memory: ${fc.defaultReportMessage(details)}`);
        if (details.errorInstance instanceof Error) console.log(details.errorInstance.stack);
        return 1;
      }
    }
    const { histories, commands } = tally;
    console.log(`${new Date().toISOString()} seed ${first + round}: ${histories} histories, ${commands} commands`);
    if (Date.now() >= end || values.path !== undefined) return 0;
  }
}

process.exitCode = await main();

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { queueRates, sglRates } from './against.ts';
import { commandRates } from './commands.ts';
import { cpuAgainstFio } from './fio.ts';
import { idleDaemon } from './idle.ts';
import type { Effort } from './load.ts';
import { crowdedHost, roundTrips } from './round-trip.ts';
import { type Row, table } from './table.ts';

const shortest: Effort = { seconds: 0.3, runs: 1 };

const benchmarks: Record<string, (quick: boolean) => Promise<Row[]>> = {
  'round-trip': (quick) => roundTrips(quick ? 5_000 : 50_000, quick ? 1 : 5),
  commands: (quick) => commandRates(quick ? shortest : { seconds: 3, runs: 3 }, newEffort(quick)),
  sgl: (quick) => sglRates(newEffort(quick)),
  queues: (quick) => queueRates(newEffort(quick)),
  fio: (quick) => cpuAgainstFio(newEffort(quick)),
  idle: (quick) => idleDaemon(quick ? 3 : 12, quick ? 3 : 10, quick ? 3 : 9),
  crowded: (quick) => crowdedHost(quick ? 2_000 : 20_000, quick ? 1 : 5),
};

/** Of benchmarks that are not among the foundation's. */
function newEffort(quick: boolean): Effort {
  return quick ? shortest : { seconds: 2, runs: 3 };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, json: { type: 'string' }, help: { type: 'boolean' } },
});
const unknown = positionals.find((name) => !(name in benchmarks));
if (values.help || unknown !== undefined) {
  if (unknown !== undefined) console.error(`unknown benchmark: ${unknown}`);
  console.log(`usage: npm run bench -- [--quick] [--json FILE] [${Object.keys(benchmarks).join('|')} ...]`);
  process.exit(unknown === undefined ? 0 : 2);
}

const rows: Row[] = [];
for (const name of positionals.length ? positionals : Object.keys(benchmarks)) {
  console.error(`${name} ...`);
  rows.push(...(await benchmarks[name]!(values.quick)));
}
console.log(table(rows));
if (values.json) {
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    node: process.version,
    date: new Date().toISOString(),
  };
  writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}

/**
 * `npm test`: unit tests, long ones, the tests of devices on the other transports, then real guests; a table of what ran on which transport, and one last
 * line that counts them all. `npm test -- NAME...` runs the files whose paths have one of the names in them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { ProvisionError, prepareTests } from '@sidecard/guest';
import { type Report, type Tally, tallyOf } from './tally.ts';
import { transportTable } from './transport-table.ts';

const folder = '.cache/test';
const given = process.argv.slice(2);
// Most projects have no file of a name; one that there is in none is a mistake, below.
const filtered = given.some((word) => !word.startsWith('-'));

let running: ChildProcess | null = null;
// Vitest ends its workers, and this process ends after it; on a terminal Ctrl-C has reached it already.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    process.exitCode = 128 + constants.signals[signal];
    if (running === null) process.exit();
    if (signal !== 'SIGINT' || !process.stdin.isTTY) running.kill(signal);
  });
}

async function runProject(project: string): Promise<Tally> {
  const outputFile = `${folder}/${project}.json`;
  rmSync(outputFile, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${outputFile}`];
  const args = ['run', '--project', project, ...reporters, ...(filtered ? ['--passWithNoTests'] : []), ...given];
  running = spawn('vitest', args, { stdio: 'inherit' });
  const [status] = (await once(running, 'exit')) as [number | null];
  running = null;
  if (process.exitCode !== undefined) process.exit();
  return tallyOf(reportIn(project, outputFile, status), status);
}

function reportIn(project: string, outputFile: string, status: number | null): Report | null {
  try {
    return JSON.parse(readFileSync(outputFile, 'utf8'));
  } catch {
    console.error(`${project}: vitest wrote no report (exit status ${status})`);
    return null;
  }
}

mkdirSync(folder, { recursive: true });
const unit = await runProject('unit');
const long = await runProject('long');
// Here and not in the first test that boots: vitest would show the progress of the download only afterwards.
const missing = await prepareTests().then(
  () => null,
  (error: unknown) => {
    if (!(error instanceof ProvisionError)) throw error;
    return error.message;
  },
);
const socket = await runProject('socket');
const qemu = await runProject('qemu');
const guest = await runProject('guest');

// Stress of drivers is a part of the long ones.
const inProcess: Tally = { ...unit, lost: unit.lost || long.lost, files: new Map([...unit.files, ...long.files]) };
console.log(transportTable({ 'in-process': inProcess, socket, qemu }, [socket, qemu]).join('\n'));
const all = [unit, long, socket, qemu, guest];
if (missing !== null && qemu.skipped + guest.skipped > 0) console.error(`Skipped for want of a guest: ${missing}`);
if (process.env.CI) {
  const unable = qemu.skipped + guest.skipped;
  if (unable > 0) console.error(`${unable} tests could not run; in CI that is a failure`);
  for (const tally of [qemu, guest]) {
    tally.failed += tally.skipped;
    tally.skipped = 0;
  }
}
const sum = (of: 'passed' | 'failed' | 'skipped') => all.reduce((total, tally) => total + tally[of], 0);
const nothing = filtered && all.every(({ files }) => files.size === 0);
if (nothing) console.error(`No test file has ${given.join(' ')} in its path`);
process.exitCode = sum('failed') === 0 && !nothing ? 0 : 1;
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);

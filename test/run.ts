/**
 * `npm test`: unit tests, long ones, the tests of devices on the other transports, then real guests; a table of what ran on which transport, and one last
 * line that counts them all.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { relative } from 'node:path';
import { ProvisionError, prepareTests } from '@sidecard/guest';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** Passed tests of each file. */
  files: ReadonlyMap<string, number>;
}

/** The fields of vitest's JSON report that are read here. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
}

const folder = '.cache/test';

function runProject(project: string): Tally {
  const outputFile = `${folder}/${project}.json`;
  rmSync(outputFile, { force: true });
  const args = [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${outputFile}`,
  ];
  const { status } = spawnSync('vitest', [...args, ...process.argv.slice(2)], { stdio: 'inherit' });
  return tally(project, outputFile, status);
}

function tally(project: string, outputFile: string, status: number | null): Tally {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(outputFile, 'utf8'));
  } catch {
    console.error(`${project}: vitest wrote no report (exit status ${status})`);
    return { passed: 0, failed: 1, skipped: 0, files: new Map() };
  }
  // A file that fails to load holds no test, and would be counted nowhere.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    // A hook or an unhandled error can fail the run while every test passes.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
    files: new Map(report.testResults.map((file) => [relative('.', file.name), passedOf(file)])),
  };
}

function passedOf(file: Report['testResults'][number]): number {
  return file.assertionResults.filter(({ status }) => status === 'passed').length;
}

/** Tests that passed of each file that runs on every transport. */
function printTransports(tallies: { readonly [transport: string]: Tally }): void {
  const names = [...tallies.socket!.files.keys()].sort();
  const row = (name: string, cells: readonly (string | number)[]) =>
    console.log(`${name.padEnd(64)}${cells.map((cell) => String(cell).padStart(12)).join('')}`);
  const columns = Object.values(tallies);
  row('Tests of devices that passed, by transport', Object.keys(tallies));
  for (const name of names)
    row(
      name,
      columns.map(({ files }) => files.get(name) ?? 0),
    );
  const total = ({ files }: Tally) => names.reduce((sum, name) => sum + (files.get(name) ?? 0), 0);
  row('', columns.map(total));
}

mkdirSync(folder, { recursive: true });
const unit = runProject('unit');
const long = runProject('long');
// Here and not in the first test that boots: vitest would show the progress of the download only afterwards.
await prepareTests().catch((error: unknown) => {
  if (!(error instanceof ProvisionError)) throw error;
});
const socket = runProject('socket');
const qemu = runProject('qemu');
const guest = runProject('guest');

for (const tally of [qemu, guest]) {
  if (!process.env.CI || tally.skipped === 0) continue;
  console.error(`${tally.skipped} tests could not run; in CI that is a failure`);
  tally.failed += tally.skipped;
  tally.skipped = 0;
}
printTransports({ 'in-process': unit, socket, qemu });
const all = [unit, long, socket, qemu, guest];
const sum = (of: 'passed' | 'failed' | 'skipped') => all.reduce((total, tally) => total + tally[of], 0);
process.exitCode = sum('failed') === 0 ? 0 : 1;
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);

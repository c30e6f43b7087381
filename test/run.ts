/** `npm test`: unit tests, long ones, then real guests, and one last line that counts them all. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { ProvisionError, prepareTests } from '@sidecard/guest';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** The fields of vitest's JSON report that are read here. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: unknown[] }[];
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
    return { passed: 0, failed: 1, skipped: 0 };
  }
  // A file that fails to load holds no test, and would be counted nowhere.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    // A hook or an unhandled error can fail the run while every test passes.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

mkdirSync(folder, { recursive: true });
const unit = runProject('unit');
const long = runProject('long');
// Here and not in the first test that boots: vitest would show the progress of the download only afterwards.
await prepareTests().catch((error: unknown) => {
  if (!(error instanceof ProvisionError)) throw error;
});
const guest = runProject('guest');

if (process.env.CI && guest.skipped > 0) {
  console.error(`${guest.skipped} guest tests could not run; in CI that is a failure`);
  guest.failed += guest.skipped;
  guest.skipped = 0;
}
const all = [unit, long, guest];
const sum = (of: keyof Tally) => all.reduce((total, tally) => total + tally[of], 0);
process.exitCode = sum('failed') === 0 ? 0 : 1;
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);

/** What a run of one project came to. */
import { relative } from 'node:path';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Tally extends Counts {
  /** Vitest wrote no report: what each file came to is not known. */
  lost: boolean;
  /** By path from the repository's root. */
  files: ReadonlyMap<string, Counts>;
}

/** The fields of vitest's JSON report that are read here. */
export interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
}

/** `status` is vitest's exit status, null when a signal ended it. */
export function tallyOf(report: Report | null, status: number | null): Tally {
  if (report === null) return { passed: 0, failed: 1, skipped: 0, lost: true, files: new Map() };
  const files = new Map(report.testResults.map((file) => [relative('.', file.name), countsOf(file)]));
  // A file that fails to load holds no test, and would be counted nowhere else.
  const failed = [...files.values()].reduce((sum, file) => sum + file.failed, 0);
  return {
    passed: report.numPassedTests,
    // A hook or an unhandled error can fail the run while every test passes.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
    lost: false,
    files,
  };
}

function countsOf({ status: outcome, assertionResults: tests }: Report['testResults'][number]): Counts {
  const of = (...outcomes: string[]) => tests.filter(({ status }) => outcomes.includes(status)).length;
  const failed = of('failed');
  return {
    passed: of('passed'),
    failed: outcome === 'failed' && failed === 0 ? 1 : failed,
    skipped: tests.length - of('passed', 'failed'),
  };
}

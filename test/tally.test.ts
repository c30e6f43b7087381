/** What `npm test` says at its end is what happened. */
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Report, tallyOf } from './tally.ts';
import { transportTable } from './transport-table.ts';

/** A report of files, each with the outcomes of its tests; a file without is one that failed to load. */
function report(files: { readonly [name: string]: readonly string[] }): Report {
  const outcomes = Object.values(files).flat();
  const count = (outcome: string) => outcomes.filter((one) => one === outcome).length;
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending') + count('skipped'),
    numTodoTests: count('todo'),
    testResults: Object.entries(files).map(([name, tests]) => ({
      name: resolve(name),
      status: tests.length === 0 || tests.includes('failed') ? 'failed' : 'passed',
      assertionResults: tests.map((status) => ({ status })),
    })),
  };
}

describe('a tally', () => {
  test.each([
    ['all passed', { a: ['passed', 'passed'] }, 0, [2, 0, 0]],
    ['some failed', { a: ['passed', 'failed'], b: ['failed'] }, 1, [1, 2, 0]],
    ['some skipped', { a: ['passed', 'skipped', 'pending', 'todo'] }, 0, [1, 0, 3]],
    ['a file that failed to load', { a: ['passed'], b: [] }, 1, [1, 1, 0]],
    ['all passed, and the run failed', { a: ['passed'] }, 1, [1, 1, 0]],
    ['all passed, and a signal ended it', { a: ['passed'] }, null, [1, 1, 0]],
  ] as const)('%s', (_, files, status, counts) => {
    const { passed, failed, skipped } = tallyOf(report(files), status);
    expect([passed, failed, skipped]).toEqual(counts);
  });

  test('without a report nothing has passed, whatever the status', () => {
    expect(tallyOf(null, 0)).toMatchObject({ passed: 0, failed: 1, lost: true });
  });
});

test('the table tells what passed from what failed, was skipped, is no part of a transport, or is not known', () => {
  const inProcess = tallyOf(report({ 'x/driver/a': ['passed', 'passed'], 'x/other': ['passed'] }), 0);
  const socket = tallyOf(report({ 'x/driver/a': ['passed', 'failed'], 'x/driver/daemon': ['passed'] }), 1);
  const qemu = tallyOf(report({ 'x/driver/a': ['skipped', 'skipped'], 'x/driver/qemu-only': [] }), 1);
  const lines = transportTable({ 'in-process': inProcess, socket, qemu, lost: tallyOf(null, 1) }, [socket, qemu]);
  expect(lines.slice(1).map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['x/driver/a', '2', '1, 1 failed', '0, 2 skipped', '?'],
    ['x/driver/daemon', '-', '1', '-', '?'],
    ['x/driver/qemu-only', '-', '-', '0, 1 failed', '?'],
    ['2', '2, 1 failed', '0, 1 failed, 2 skipped', '?'],
  ]);
});

import { expect, test } from 'vitest';
import { DeferredWork } from '../../src/server/deferred-work.ts';

test('work runs once however often it was added, in the order of its first time', () => {
  const deferred = new DeferredWork();
  const ran: string[] = [];
  const first = () => ran.push('first');
  const second = () => ran.push('second');
  for (const work of [first, second, first]) deferred.add(work);
  expect(deferred.run(() => {})).toBe(true);
  expect(deferred.run(() => {})).toBe(false);
  expect(ran).toEqual(['first', 'second']);
});

test('work that is added while work runs waits for the next time, itself included', () => {
  const deferred = new DeferredWork();
  let runs = 0;
  const again = () => {
    if (++runs < 3) deferred.add(again);
  };
  deferred.add(again);
  for (const expected of [1, 2, 3]) {
    expect(deferred.waiting).toBe(true);
    deferred.run(() => {});
    expect(runs).toBe(expected);
  }
  expect(deferred.waiting).toBe(false);
});

test('work that throws keeps no other from running', () => {
  const deferred = new DeferredWork();
  const errors: unknown[] = [];
  let ran = false;
  deferred.add(() => {
    throw new Error('mine');
  });
  deferred.add(() => {
    ran = true;
  });
  deferred.run((error) => errors.push(error));
  expect([ran, errors]).toEqual([true, [new Error('mine')]]);
});

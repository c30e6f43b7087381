import { expect, test } from 'vitest';
import { type Deferral, Deferrals } from '../../src/server/deferrals.ts';

class TestClock {
  time = 0;
  timer: { at: number; callback: () => void } | null = null;
  now = () => this.time;
  wallTime = () => this.time;

  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    const timer = { at: this.time + delayMs, callback };
    this.timer = timer;
    return {
      cancel: () => {
        if (this.timer === timer) this.timer = null;
      },
    };
  }

  advance(ms: number): void {
    this.time += ms;
    const { timer } = this;
    if (timer === null || timer.at > this.time) return;
    this.timer = null;
    timer.callback();
  }
}

function setUp() {
  const clock = new TestClock();
  const late: number[] = [];
  const answered: number[] = [];
  const deferrals = new Deferrals(clock, 4000, (pending) => late.push(...pending.map((one) => one.id)));
  const add = (id: number, awaits: Deferral['awaits'], iova = 0, sizeBytes = 0) =>
    deferrals.add({
      id,
      command: 3,
      awaits,
      payload: new Uint8Array(0),
      iova,
      sizeBytes,
      receivedMs: clock.time,
      drained: false,
    });
  const settle = (resetDone: boolean, allDrained: boolean, room = 100) =>
    deferrals.settle(resetDone, allDrained, (one) => {
      if (answered.length >= room) return false;
      answered.push(one.id);
      return true;
    });
  return { clock, late, answered, deferrals, add, settle };
}

test('each message waits for its own', () => {
  const { answered, deferrals, add, settle } = setUp();
  add(1, 'reset');
  add(2, 'unmap', 0x1000, 0x1000);
  add(3, 'unmap', 0x5000, 0x1000);
  add(4, 'unmapAll');
  expect(settle(false, false)).toBe(false);
  deferrals.drained(0x5000, 0x1000);
  settle(false, false);
  expect(answered).toEqual([3]);
  settle(true, false);
  expect(answered).toEqual([3, 1]);
  settle(true, true);
  expect(answered).toEqual([3, 1, 2, 4]);
  expect(deferrals.count).toBe(0);
});

test('the same region unmapped twice is answered in order, once each', () => {
  const { answered, deferrals, add, settle } = setUp();
  add(1, 'unmap', 0x1000, 0x1000);
  add(2, 'unmap', 0x1000, 0x1000);
  deferrals.drained(0x1000, 0x1000);
  settle(false, false);
  expect(answered).toEqual([1]);
  deferrals.drained(0x1000, 0x1000);
  settle(false, false);
  expect(answered).toEqual([1, 2]);
});

test('all are late together, 4 s after the oldest came', () => {
  const { clock, late, deferrals, add } = setUp();
  add(1, 'unmap', 0x1000, 0x1000);
  clock.advance(3000);
  add(2, 'unmap', 0x2000, 0x1000);
  clock.advance(999);
  expect(late).toEqual([]);
  clock.advance(1);
  expect(late).toEqual([1, 2]);
  expect(deferrals.count).toBe(0);
});

test('once the oldest is answered, the next oldest counts', () => {
  const { clock, late, deferrals, add, settle } = setUp();
  add(1, 'unmap', 0x1000, 0x1000);
  clock.advance(3000);
  add(2, 'unmap', 0x2000, 0x1000);
  deferrals.drained(0x1000, 0x1000);
  settle(false, false);
  clock.advance(3999);
  expect(late).toEqual([]);
  clock.advance(1);
  expect(late).toEqual([2]);
});

test('an unmap that was given up does not answer a later one of the same region', () => {
  const { clock, answered, deferrals, add, settle } = setUp();
  add(1, 'unmap', 0x1000, 0x1000);
  clock.advance(4000);
  add(2, 'unmap', 0x1000, 0x1000);
  deferrals.drained(0x1000, 0x1000);
  settle(false, false);
  expect(answered).toEqual([]);
  deferrals.drained(0x1000, 0x1000);
  settle(false, false);
  expect(answered).toEqual([2]);
});

test('what finds no room stays and is answered later', () => {
  const { answered, add, settle } = setUp();
  add(1, 'reset');
  add(2, 'reset');
  settle(true, true, 1);
  expect(answered).toEqual([1]);
  settle(true, true);
  expect(answered).toEqual([1, 2]);
});

test('no timer is left when nothing waits', () => {
  const { clock, add, deferrals, settle } = setUp();
  add(1, 'reset');
  settle(true, true);
  expect(clock.timer).toBeNull();
  add(2, 'reset');
  deferrals.clear();
  expect(clock.timer).toBeNull();
});

import { VirtualClock } from '@sidecard/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Admission, Limiter, type Limits, unlimited } from '../src/index.ts';

let clock: VirtualClock;
let limiter: Limiter;
beforeEach(() => {
  clock = new VirtualClock();
  limiter = new Limiter(clock);
});

const limits = (iops: number | null, bytesPerSecond: number | null = null): Limits => ({ iops, bytesPerSecond });

class TestAdmission extends Admission {
  times = 0;
  readonly #then: () => void;
  constructor(then: () => void = () => {}) {
    super();
    this.#then = then;
  }
  admitted(): void {
    this.times++;
    this.#then();
  }
}

/** A guest that always has so many requests under way, each of which ends as soon as it is let go. Answers when each was. */
function closedLoop(depth: number, lengthBytes: number, ms: number, operations = 1): number[] {
  const times: number[] = [];
  const end = clock.now() + ms;
  const next = (admission: TestAdmission) => {
    // Not from within: as a guest, which is told first.
    clock.setTimer(0, () => {
      if (clock.now() < end && limiter.admit(admission, operations, lengthBytes)) admission.admitted();
    });
  };
  for (let index = 0; index < depth; index++) {
    const admission: TestAdmission = new TestAdmission(() => {
      if (clock.now() < end) times.push(clock.now());
      next(admission);
    });
    next(admission);
  }
  clock.advance(ms);
  return times;
}

/** Of windows of so many milliseconds, how many were let go in each. */
function perWindow(times: readonly number[], windowMs: number, ms: number, startMs = 0): number[] {
  const counts = new Array<number>(ms / windowMs).fill(0);
  for (const time of times) counts[Math.floor((time - startMs) / windowMs)]!++;
  return counts;
}

describe('a rate', () => {
  test.each([1, 7, 10, 100, 333, 1000, 5000, 20_000, 100_000])('of %d operations a second is kept', (iops) => {
    limiter.set(limits(iops));
    const counts = perWindow(closedLoop(32, 512, 10_000), 1000, 10_000);
    for (const count of counts) {
      expect(count).toBeGreaterThanOrEqual(Math.floor(iops * 0.98));
      expect(count).toBeLessThanOrEqual(Math.ceil(iops * 1.02));
    }
    expect(counts.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(10 * iops * 0.99);
  });

  test.each([
    [512, 65_536],
    [4096, 1e6],
    [131_072, 1e8],
    [1_048_576, 1e8],
  ])('of bytes, in requests of %d, of %d a second is kept', (lengthBytes, rate) => {
    limiter.set(limits(null, rate));
    const seconds = 20;
    const bytes = closedLoop(32, lengthBytes, seconds * 1000).length * lengthBytes;
    expect(bytes).toBeGreaterThanOrEqual(seconds * rate * 0.98 - lengthBytes);
    expect(bytes).toBeLessThanOrEqual(seconds * rate * 1.02 + lengthBytes);
  });

  test('is kept evenly: as many in each hundredth of a second', () => {
    limiter.set(limits(2000));
    const [first, ...rest] = perWindow(closedLoop(32, 512, 5000), 10, 5000);
    expect(first).toBeLessThanOrEqual(40);
    for (const count of rest) expect(count).toBeGreaterThanOrEqual(16);
    for (const count of rest) expect(count).toBeLessThanOrEqual(24);
  });

  test('a slow one is kept evenly too', () => {
    limiter.set(limits(10));
    expect(closedLoop(4, 512, 1000)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
  });

  test('both are kept: the lower one counts', () => {
    limiter.set(limits(1000, 1e6));
    expect(closedLoop(32, 10_000, 1000).length).toBeCloseTo(100, -1);
    clock.advance(1000);
    const count = closedLoop(32, 100, 1000).length;
    expect(count).toBeGreaterThanOrEqual(980);
    expect(count).toBeLessThanOrEqual(1020);
  });

  test('a guest that asks for one at a time, and takes a while each time, gets it as well', () => {
    limiter.set(limits(2000));
    let count = 0;
    const admission = new TestAdmission(() => {
      count++;
      clock.setTimer(0.06, ask);
    });
    const ask = () => {
      if (limiter.admit(admission, 1, 512)) admission.admitted();
    };
    ask();
    clock.advance(1000);
    expect(count).toBeGreaterThanOrEqual(1960);
    expect(count).toBeLessThanOrEqual(2040);
  });

  test('after rest there are 10 ms of it at once, and not more', () => {
    limiter.set(limits(1000));
    clock.advance(60_000);
    const admissions = Array.from({ length: 100 }, () => new TestAdmission());
    expect(admissions.filter((one) => limiter.admit(one, 1, 512)).length).toBe(11);
  });

  test('a timer that is late is made up for, as far as it is 100 ms', () => {
    limiter.set(limits(1000));
    let late = 40;
    const times: number[] = [];
    const start = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, callback) => start(delayMs + late, callback);
    const admissions = Array.from({ length: 1000 }, () => new TestAdmission(() => times.push(clock.now())));
    for (const one of admissions) if (limiter.admit(one, 1, 0)) one.admitted();
    clock.advance(500);
    expect(times.length).toBeGreaterThan(450);
    expect(times.length).toBeLessThanOrEqual(502);
    late = 1000;
    const before = times.length;
    clock.advance(1100);
    expect(times.length - before).toBeLessThanOrEqual(150);
  });
});

describe('who waits', () => {
  test('goes in the order of coming', () => {
    limiter.set(limits(100, 1e6));
    const order: number[] = [];
    for (let index = 0; index < 50; index++) {
      const one = new TestAdmission(() => order.push(index));
      if (limiter.admit(one, 1, index % 3 === 0 ? 100_000 : 512)) one.admitted();
    }
    expect(limiter.waiting).toBeGreaterThan(40);
    clock.advance(10_000);
    expect(order).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(limiter.waiting).toBe(0);
  });

  test('waits with one timer, which is not set while nobody waits', () => {
    limiter.set(limits(1));
    expect(limiter.admit(new TestAdmission(), 1, 0)).toBe(true);
    expect(clock.timers).toBe(0);
    const waiting = [new TestAdmission(), new TestAdmission()];
    for (const one of waiting) limiter.admit(one, 1, 0);
    expect(clock.timers).toBe(1);
    for (const one of waiting) limiter.withdraw(one);
    expect(clock.timers).toBe(0);
    clock.advance(10_000);
    expect(waiting.map(({ times }) => times)).toEqual([0, 0]);
  });

  test('rings seldom: as often as somebody may go', () => {
    limiter.set(limits(10));
    let rings = 0;
    const start = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, callback) =>
      start(delayMs, () => {
        rings++;
        callback();
      });
    for (let index = 0; index < 200; index++) limiter.admit(new TestAdmission(), 1, 0);
    clock.advance(10_000);
    expect(rings).toBe(100);
  });

  test('one request that is larger than all there is goes through, and the next waits until it is paid for', () => {
    limiter.set(limits(null, 1000));
    const large = new TestAdmission();
    const next = new TestAdmission();
    expect(limiter.admit(large, 1, 1_000_000)).toBe(true);
    expect(limiter.admit(next, 1, 1)).toBe(false);
    clock.advance(999_999);
    expect(next.times).toBe(0);
    clock.advance(1);
    expect(next.times).toBe(1);
  });

  test('one that costs weeks sets no timer that is longer than those of the system', () => {
    const delays: number[] = [];
    const start = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, callback) => {
      delays.push(delayMs);
      return start(delayMs, callback);
    };
    limiter.set(limits(null, 1));
    const next = new TestAdmission();
    limiter.admit(new TestAdmission(), 1, 2 ** 22);
    limiter.admit(next, 1, 1);
    clock.advance(2 ** 22 * 1000 - 1);
    expect([next.times, delays.length < 1200, Math.max(...delays) < 2 ** 31]).toEqual([0, true, true]);
    clock.advance(1);
    expect(next.times).toBe(1);
  });

  test('a request of many operations lets others go in between', () => {
    limiter.set(limits(100));
    const order: string[] = [];
    const ask = (name: string, operations: number) => {
      const one: TestAdmission = new TestAdmission(() => order.push(name));
      if (limiter.admit(one, operations, 0)) one.admitted();
    };
    ask('large', 50);
    for (const name of ['a', 'b', 'c']) ask(name, 1);
    clock.advance(100);
    expect(order).toEqual(['a', 'b', 'c']);
    clock.advance(400);
    ask('d', 1);
    expect(order).toEqual(['a', 'b', 'c']);
    clock.advance(40);
    expect(order).toEqual(['a', 'b', 'c', 'd', 'large']);
  });

  test('who gives up leaves the others their order, wherever it was', () => {
    limiter.set(limits(10));
    const order: number[] = [];
    const all = Array.from({ length: 10 }, (_, index) => new TestAdmission(() => order.push(index)));
    for (const one of all) if (limiter.admit(one, 1, 0)) one.admitted();
    for (const index of [1, 5, 9]) limiter.withdraw(all[index]!);
    clock.advance(10_000);
    expect(order).toEqual([0, 2, 3, 4, 6, 7, 8]);
    expect(() => limiter.withdraw(all[1]!)).toThrow('gives up');
  });

  test('waits nowhere else', () => {
    limiter.set(limits(1));
    const one = new TestAdmission();
    limiter.admit(one, 1, 0);
    limiter.admit(one, 1, 0);
    expect(() => limiter.admit(one, 1, 0)).toThrow('asks again');
    expect(() => new Limiter(clock).withdraw(one)).toThrow('gives up');
  });

  test('is counted, and how long', () => {
    limiter.set(limits(10));
    for (let index = 0; index < 4; index++) limiter.admit(new TestAdmission(), 1, 0);
    expect([limiter.delayed, limiter.waiting, limiter.delayedMs]).toEqual([3, 3, 0]);
    clock.advance(150);
    expect([limiter.delayed, limiter.waiting, limiter.delayedMs]).toEqual([3, 2, 100 + 2 * 150]);
    clock.advance(1000);
    expect([limiter.delayed, limiter.waiting, limiter.delayedMs]).toEqual([3, 0, 600]);
  });
});

test('nothing is allocated for who asks, waits and is let go', () => {
  let nowMs = 0;
  let ring = () => {};
  const timer = { cancel: () => {} };
  const setTimer = (_delayMs: number, callback: () => void) => {
    ring = callback;
    return timer;
  };
  limiter = new Limiter({ now: () => nowMs, wallTime: () => 0, setTimer });
  limiter.set(limits(100_000, 1e9));
  let went = 0;
  const all = Array.from({ length: 200 }, () => new TestAdmission(() => went++));
  const rounds = () => {
    for (let round = 0; round < 2000; round++) {
      for (const one of all) if (one.limiter === null && limiter.admit(one, 1, 4096)) went++;
      nowMs += 1.25;
      ring();
    }
  };
  rounds();
  const wentBefore = went;
  // What others of this process allocate meanwhile is not the limiter's: the least of three counts.
  const grown = [1, 2, 3].map(() => {
    const before = process.memoryUsage().heapUsed;
    rounds();
    return process.memoryUsage().heapUsed - before;
  });
  expect(went - wentBefore).toBeGreaterThan(600_000);
  expect(limiter.delayed).toBeGreaterThan(300_000);
  expect(Math.min(...grown)).toBeLessThan(1_000_000);
});

describe('a change', () => {
  /** So many wait, and are noted as they go. */
  function crowd(count: number, lengthBytes = 0): number[] {
    const order: number[] = [];
    for (let index = 0; index < count; index++) {
      const one = new TestAdmission(() => order.push(index));
      if (limiter.admit(one, 1, lengthBytes)) one.admitted();
    }
    return order;
  }

  test('of limits that are lifted lets all go, in their order', () => {
    limiter.set(limits(1, 1000));
    const order = crowd(100, 1_000_000);
    expect(order).toEqual([0]);
    limiter.set(unlimited);
    expect(order).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect([limiter.limited, clock.timers, limiter.waiting]).toEqual([false, 0, 0]);
  });

  test('holds for those that wait, at once', () => {
    limiter.set(limits(1));
    const order = crowd(200);
    limiter.set(limits(100));
    clock.advance(500);
    expect(order.length).toBeGreaterThanOrEqual(50);
    expect(order.length).toBeLessThanOrEqual(52);
    limiter.set(limits(10));
    clock.advance(1000);
    expect(order.length).toBeLessThanOrEqual(63);
    expect(order.length).toBeGreaterThanOrEqual(59);
  });

  test('of the rate changes how long it takes to pay for what was taken in advance', () => {
    limiter.set(limits(null, 1000));
    expect(limiter.admit(new TestAdmission(), 1, 1_000_000)).toBe(true);
    const next = new TestAdmission();
    limiter.admit(next, 1, 1);
    clock.advance(500_000);
    limiter.set(limits(null, 500_000));
    clock.advance(999);
    expect(next.times).toBe(0);
    clock.advance(1);
    expect(next.times).toBe(1);
  });

  test.each([0, -1, Number.NaN])('to %d is a mistake, and no way to say that there is none', (rate) => {
    expect(() => limiter.set(limits(rate))).toThrow('in a second');
    expect(() => limiter.set(limits(null, rate))).toThrow('in a second');
    expect(limiter.limits).toEqual(unlimited);
  });

  test('of one limit leaves the other', () => {
    limiter.set(limits(100, 1000));
    const order = crowd(100, 1000);
    limiter.set(limits(100, null));
    clock.advance(1);
    clock.advance(499);
    expect(order.length).toBeGreaterThanOrEqual(50);
    expect(order.length).toBeLessThanOrEqual(52);
  });

  test('made from within what is let go is as good as any', () => {
    limiter.set(limits(10));
    const order: number[] = [];
    const all = [0, 1, 2, 3].map(
      (index) =>
        new TestAdmission(() => {
          order.push(index);
          if (index === 1) limiter.set(unlimited);
        }),
    );
    for (const one of all) if (limiter.admit(one, 1, 0)) one.admitted();
    clock.advance(100);
    expect(order).toEqual([0, 1, 2, 3]);
    expect([limiter.waiting, clock.timers]).toEqual([0, 0]);
  });

  test('many of them, and of those that wait: each is let go once or gives up', () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('ask' as const),
          operations: fc.integer({ min: 1, max: 5 }),
          bytes: fc.nat(2_000_000),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('set' as const),
          iops: fc.option(fc.integer({ min: 1, max: 1e6 })),
          bytes: fc.option(fc.integer({ min: 1000, max: 1e9 })),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), which: fc.nat(1000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('letAllGo' as const) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(200) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        clock = new VirtualClock();
        limiter = new Limiter(clock);
        const waiting: TestAdmission[] = [];
        let asked = 0;
        let went = 0;
        let gaveUp = 0;
        for (const one of steps) {
          if (one.kind === 'ask') {
            asked++;
            const admission: TestAdmission = new TestAdmission(() => {
              went++;
              expect(waiting.splice(waiting.indexOf(admission), 1)).toEqual([admission]);
            });
            waiting.push(admission);
            if (!limiter.limited || limiter.admit(admission, one.operations, one.bytes)) admission.admitted();
          } else if (one.kind === 'set') limiter.set(limits(one.iops, one.bytes));
          else if (one.kind === 'letAllGo') limiter.letAllGo();
          else if (one.kind === 'advance') clock.advance(one.ms);
          else if (waiting.length > 0) {
            gaveUp++;
            limiter.withdraw(waiting.splice(one.which % waiting.length, 1)[0]!);
          }
          expect(limiter.waiting).toBe(waiting.length);
          expect(asked).toBe(went + gaveUp + waiting.length);
          expect(clock.timers).toBe(waiting.length > 0 ? 1 : 0);
          if (!limiter.limited) expect(waiting).toEqual([]);
        }
        limiter.set(unlimited);
        expect(asked).toBe(went + gaveUp);
      }),
      { numRuns: 300 },
    );
  });

  test('ten thousand of them under load let no more through than the rates say, and hardly less', () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 0x7fff_ffff;
      return seed / 0x7fff_ffff;
    };
    let went = 0;
    const ask = () => {
      const one: TestAdmission = new TestAdmission(() => {
        went++;
        clock.setTimer(0, ask);
      });
      if (limiter.admit(one, 1, 0)) one.admitted();
    };
    limiter.set(limits(1000));
    for (let index = 0; index < 32; index++) ask();
    let allowed = 0;
    for (let change = 0; change < 10_000; change++) {
      const iops = 100 + Math.floor(random() * 5000);
      const ms = 5 + Math.floor(random() * 20);
      limiter.set(limits(iops));
      clock.advance(ms);
      allowed += (iops * ms) / 1000;
    }
    expect(went).toBeLessThanOrEqual(allowed + 500);
    expect(went).toBeGreaterThanOrEqual(allowed * 0.98);
  });
});

import type { ControlEvent } from '@sidecard/daemon';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GpioDaemon } from './daemon.ts';

let daemon: GpioDaemon;
beforeAll(async () => {
  daemon = await GpioDaemon.start();
});
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  await daemon.remove();
});

const inputs = (levels: object) => ({
  ...Object.fromEntries(Array.from({ length: 16 }, (_, line) => [`IN${line}`, 0])),
  ...levels,
});
const all = (level: 0 | 1) => Object.fromEntries(Object.keys(inputs({})).map((name) => [name, level]));

describe('lines', () => {
  test('what the guest puts out is read', async () => {
    const driver = daemon.guest();
    driver.outputs = 0x8002;
    expect(await daemon.control.get('/outputs')).toMatchObject({ OUT0: 0, OUT1: 1, OUT14: 0, OUT15: 1 });
    driver.outputs = 0;
  });

  test('inputs are set, one, several or all, and the guest reads them and is interrupted', async () => {
    const driver = daemon.guest();
    driver.enableInterrupts();
    expect(await daemon.control.patch('/inputs', { IN3: 1 })).toEqual(inputs({ IN3: 1 }));
    expect(await driver.change()).toBe(0x0008);
    await daemon.control.patch('/inputs', { IN3: 0, IN15: 1 });
    expect(await driver.change()).toBe(0x8000);
    await daemon.control.patch('/inputs', all(1));
    expect(await driver.change()).toBe(0xffff);
    await daemon.control.patch('/inputs', all(0));
    expect(await driver.change()).toBe(0);
    expect(driver.vector.take()).toBe(0);
  });

  test('a thousand edges, each seen by the guest before the next', async () => {
    const driver = daemon.guest();
    driver.enableInterrupts();
    for (let edge = 1; edge <= 1000; edge++) {
      const changed = driver.change();
      await daemon.control.patch('/inputs', { IN0: edge & 1 });
      expect(await changed).toBe(edge & 1);
    }
    expect(driver.vector.take()).toBe(0);
  });

  test('what the guest has switched on is read, and whether it has served its interrupt', async () => {
    const driver = daemon.guest();
    const off = { on: false, changedLow: false, changedHigh: false, asserted: false };
    expect(await daemon.control.get('/card')).toEqual({ interrupts: off, filters: inputs({}) });
    driver.registers.filtersLow = 0x04;
    driver.enableInterrupts();
    await daemon.control.patch('/inputs', { IN9: 1 });
    const pending = { on: true, changedLow: false, changedHigh: true, asserted: true };
    expect(await daemon.control.get('/card')).toMatchObject({ interrupts: pending, filters: { IN1: 0, IN2: 1 } });
    expect(await driver.change()).toBe(0x0200);
    expect(await daemon.control.get('/card')).toMatchObject({ interrupts: { ...off, on: true } });
    await daemon.control.patch('/inputs', { IN9: 0 });
  });

  test('inputs outlive guests: nobody needs to be connected', async () => {
    await daemon.control.patch('/inputs', { IN7: 1 });
    const driver = daemon.guest();
    expect(driver.inputs).toBe(0x0080);
    await daemon.control.patch('/inputs', { IN7: 0 });
  });
});

describe('a pulse', () => {
  test('turns inputs over and back, and answers then', async () => {
    const events = await record(async () => {
      await daemon.control.patch('/inputs', { IN1: 1 });
      expect(await daemon.control.post('/inputs/pulse', { inputs: ['IN0', 'IN1'], ms: 20 })).toEqual(
        inputs({ IN1: 1 }),
      );
      await daemon.control.patch('/inputs', { IN1: 0 });
    }, 4);
    const [, , begin, end] = events.map(({ data }) => data as { atMs: number; changed: object });
    expect([begin!.changed, end!.changed]).toEqual([
      { IN0: 1, IN1: 0 },
      { IN0: 0, IN1: 1 },
    ]);
    expect(end!.atMs - begin!.atMs).toBeGreaterThan(18);
  });

  test('of an input that is under one is refused', async () => {
    const first = daemon.control.post('/inputs/pulse', { inputs: ['IN4'], ms: 200 });
    await expect(
      retried(() => daemon.control.post('/inputs/pulse', { inputs: ['IN4', 'IN5'], ms: 1 })),
    ).rejects.toMatchObject({
      status: 409,
      message: 'an input is under a pulse already',
    });
    await first;
  });

  test('leaves an input that was set meanwhile as it was set', async () => {
    const pulse = daemon.control.post('/inputs/pulse', { inputs: ['IN8', 'IN9'], ms: 1000 });
    await until(async () => ((await daemon.control.get('/inputs')) as { IN8: number }).IN8 === 1);
    await daemon.control.patch('/inputs', { IN8: 1 });
    expect(await pulse).toEqual(inputs({ IN8: 1 }));
    await daemon.control.patch('/inputs', { IN8: 0 });
  });
});

test('a stream has how things are, and then the changes of both kinds of lines', async () => {
  const driver = daemon.guest();
  driver.outputs = 0x0100;
  const events = await record(async () => {
    driver.outputs = 0x0300;
    await daemon.control.patch('/inputs', { IN2: 1, IN3: 1 });
    await daemon.control.patch('/inputs', { IN2: 0, IN3: 0 });
  }, 4);
  expect(events.map(({ event }) => event)).toEqual(['state', 'change', 'change', 'change']);
  const [state, ...changes] = events.map(({ data }) => data as { outputs: object; changed: object });
  expect(state).toMatchObject({ outputs: { OUT8: 1, OUT9: 0 }, inputs: inputs({}) });
  expect(changes.map(({ changed }) => changed)).toEqual([{ OUT9: 1 }, { IN2: 1, IN3: 1 }, { IN2: 0, IN3: 0 }]);
});

test.each<[string, string, unknown, number, string]>([
  ['an input that there is not', '/inputs', { IN16: 1 }, 400, 'IN16'],
  ['an output', '/inputs', { OUT0: 1 }, 400, 'OUT0'],
  ['a level that is none', '/inputs', { IN0: 2 }, 400, 'IN0'],
  ['one that is wrong among many', '/inputs', { IN0: 1, IN1: true }, 400, 'IN1'],
  ['a pulse of no time', '/inputs/pulse', { inputs: ['IN0'], ms: 0 }, 400, 'ms'],
  ['a pulse of a day', '/inputs/pulse', { inputs: ['IN0'], ms: 86_400_000 }, 400, 'ms'],
  ['a pulse of nothing', '/inputs/pulse', { inputs: [], ms: 1 }, 400, 'inputs'],
  ['a pulse of one input twice', '/inputs/pulse', { inputs: ['IN0', 'IN0'], ms: 1 }, 400, 'duplicate'],
])('%s is refused, with a reason, and nothing changes', async (_, path, body, status, reason) => {
  const asked = path === '/inputs' ? daemon.control.patch(path, body) : daemon.control.post(path, body);
  await expect(asked).rejects.toMatchObject({ status, message: expect.stringContaining(reason) });
  expect(await daemon.control.get('/inputs')).toEqual(inputs({}));
});

test('with --loopback inputs are read and not set', async () => {
  const looped = await GpioDaemon.start('--loopback');
  looped.guest().outputs = 0x0001;
  expect(await looped.control.get('/inputs')).toEqual(inputs({ IN0: 1 }));
  await expect(looped.control.patch('/inputs', { IN1: 1 })).rejects.toMatchObject({ status: 409 });
  await expect(looped.control.post('/inputs/pulse', { inputs: ['IN1'], ms: 1 })).rejects.toMatchObject({ status: 409 });
  expect(await looped.stop()).toBe(0);
  await looped.remove();
});

/** The first `count` events of the stream, of which the first is there before `during` begins. */
async function record(during: () => Promise<void>, count: number): Promise<ControlEvent[]> {
  const events: ControlEvent[] = [];
  for await (const event of daemon.control.events('/changes')) {
    if (events.push(event) === 1) await during();
    if (events.length === count) break;
  }
  return events;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition()));
}

/** Again while it succeeds: the other request may not have arrived yet. */
async function retried(ask: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; tries < 20; tries++) await ask();
}

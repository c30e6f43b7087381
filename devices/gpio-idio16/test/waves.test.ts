import { setImmediate } from 'node:timers/promises';
import { VirtualClock } from '@sidecard/testing';
import { expect, test } from 'vitest';
import type { Levels } from '../src/lines.ts';
import { Waves } from '../src/waves.ts';

const step = (ms: number, name: string) => ({ ms, inputs: { [name]: 1 } as Levels });

test('steps that are late come in the order of their times, also when they are of two waves', async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const waves = new Waves(clock, (inputs) => seen.push(...Object.keys(inputs)));
  const first = waves.play(10, [step(0, 'IN0'), step(10, 'IN2'), step(10, 'IN3')]);
  const second = waves.play(10, [step(5, 'IN1'), step(10, 'IN4'), step(15, 'IN5')]);
  clock.advance(1000);
  expect(seen).toEqual([]);
  expect(await Promise.all([first, second])).toEqual([990, 985]);
  expect(seen).toEqual(['IN0', 'IN1', 'IN2', 'IN3', 'IN4', 'IN5']);
});

test('a wave that comes later and begins earlier is not held up', async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const waves = new Waves(clock, (inputs) => seen.push(...Object.keys(inputs)));
  void waves.play(1000, [step(0, 'IN0')]);
  const early = waves.play(10, [step(0, 'IN1')]);
  clock.advance(10);
  expect(await early).toBe(0);
  for (let i = 0; i < 5; i++) await setImmediate();
  expect([seen, clock.timers]).toEqual([['IN1'], 1]);
});

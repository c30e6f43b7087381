import { setImmediate } from 'node:timers/promises';
import type { Clock } from '@sidecard/core';
import type { Levels } from './lines.ts';

/** Inputs to set, so long after the wave's beginning. */
export interface WaveStep {
  readonly ms: number;
  readonly inputs: Levels;
}

/** Timers know whole milliseconds and come late: the rest of a wait is spent awake, between the device's turns, of which there is one before every step. */
const awakeMs = 2;

/** Sets inputs at their times by the clock, all counted from one beginning, so that no lateness adds up. Answers how late the latest was, ms. */
export async function playWave(
  clock: Clock,
  startMs: number,
  steps: readonly WaveStep[],
  set: (inputs: Levels) => void,
): Promise<number> {
  let latestMs = 0;
  for (const { ms, inputs } of steps) {
    await until(clock, startMs + ms);
    set(inputs);
    latestMs = Math.max(latestMs, clock.now() - startMs - ms);
  }
  return latestMs;
}

async function until(clock: Clock, atMs: number): Promise<void> {
  const waitMs = atMs - clock.now();
  if (waitMs > awakeMs) await new Promise<void>((resolve) => void clock.setTimer(waitMs - awakeMs, resolve));
  do await setImmediate();
  while (clock.now() < atMs);
}

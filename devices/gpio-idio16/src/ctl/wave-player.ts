import { setImmediate, setTimeout } from 'node:timers/promises';
import type { ControlClient } from '@sidecard/daemon';
import type { Step } from './wave-file.ts';

/** Timers come up to this much late: the rest of a wait is spent awake. */
const timerSlackMs = 2;

/** Sets inputs at their times, all counted from one beginning, so that no lateness adds up. Says how late the latest was. */
export async function playWave(client: ControlClient, steps: readonly Step[]): Promise<void> {
  // The connection is made before the time begins.
  await client.get('/inputs');
  const startMs = performance.now();
  let latestMs = 0;
  for (const { ms, levels } of steps) {
    await until(startMs + ms);
    await client.patch('/inputs', levels);
    latestMs = Math.max(latestMs, performance.now() - startMs - ms);
  }
  console.error(`${steps.length} steps in ${steps.at(-1)!.ms} ms, none more than ${latestMs.toFixed(1)} ms late`);
}

async function until(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  if (waitMs > timerSlackMs) await setTimeout(waitMs - timerSlackMs);
  while (performance.now() < atMs) await setImmediate();
}

import { setTimeout } from 'node:timers/promises';
import type { ControlClient } from '@sidecard/daemon';
import type { WaveStep } from '../waves.ts';

/** A part of a wave has steps of this time, and no more of them than fit into a request's body. */
const partMs = 1000;
const partSteps = 250;
/** How long before its first step the daemon has a part. A wave that is broken off goes on for this, and its part. */
const aheadMs = 1000;
/** Until the first step: what the first request takes, at leisure. */
const firstMs = 250;

/** Has the daemon set inputs at their times: it gets the wave in parts, each while the one before is played. Says how late the latest step was. */
export async function playWave(client: ControlClient, steps: readonly WaveStep[]): Promise<void> {
  const startMs = (await clockOf(client)) + firstMs;
  const hereMs = performance.now() + firstMs;
  const played: Promise<number>[] = [];
  for (const { ms, part } of partsOf(steps)) {
    await played.at(-2);
    await setTimeout(Math.max(0, hereMs + ms - aheadMs - performance.now()));
    const answer = client.post('/inputs/wave', { startMs: startMs + ms, steps: part });
    const latest = answer.then((body) => (body as { latestMs: number }).latestMs);
    // It is looked at later.
    latest.catch(() => {});
    played.push(latest);
  }
  const latestMs = Math.max(...(await Promise.all(played)));
  console.error(`${steps.length} steps in ${steps.at(-1)!.ms} ms, none more than ${latestMs.toFixed(1)} ms late`);
}

/** The time by the daemon's clock. */
async function clockOf(client: ControlClient): Promise<number> {
  for await (const { data } of client.events('/changes')) return (data as { atMs: number }).atMs;
  throw new Error('the daemon has gone');
}

interface Part {
  /** When it begins. Its steps are counted from there. */
  readonly ms: number;
  readonly part: WaveStep[];
}

/** Steps at the same time are in the same part: those of two are in the order in which they come. */
function partsOf(steps: readonly WaveStep[]): Part[] {
  const parts: Part[] = [];
  for (const { ms, inputs } of steps) {
    const last = parts.at(-1);
    const isFull = last === undefined || ms >= last.ms + partMs || last.part.length >= partSteps;
    if (isFull && ms !== lastMs(last)) parts.push({ ms, part: [{ ms: 0, inputs }] });
    else last!.part.push({ ms: ms - last!.ms, inputs });
  }
  return parts;
}

function lastMs(part: Part | undefined): number {
  return part === undefined ? -1 : part.ms + part.part.at(-1)!.ms;
}

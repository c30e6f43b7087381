import { setImmediate } from 'node:timers/promises';

/** What can be given time: a port, a wire, a transport. */
export interface Turning {
  /** Gives the other side time once. True when it did something. */
  turn(): boolean;
}

/** How long tests wait for what should happen at once, real milliseconds. */
const PATIENCE_MS = 5000;

/** Gives the other side time until `condition` holds. @throws after `timeoutMs`, with `what` in the message. */
export async function until(
  side: Turning,
  condition: () => boolean,
  what: string,
  timeoutMs: number = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let turns = 1; !condition(); turns++) {
    const worked = side.turn();
    // Timers, promises and watchers of a device in this process want their turn as well.
    if (!worked || turns % 16 === 0) await setImmediate();
    if (turns % 16 === 0 && performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { GpioCard, Levels } from './gpio-card.ts';
import type { GpioMonitor, LineEvent } from './gpio-monitor.ts';

/** Between edges at 100 in a second. */
export const periodMs = 10;

/**
 * Makes edges at inputs of a card, by turns, 100 in a second at most, and each when Linux has served and told of the one before: the card has one latch for
 * all of them, and under emulation a guest may take longer than 10 ms. (6.12 serves before it tells, 6.1 may tell first.) `lines` are those that gpiomon watches: it tells of all of them at each interrupt.
 * Answers edges in a second.
 */
export async function makeEdges(
  card: GpioCard,
  monitor: GpioMonitor,
  lines: readonly number[],
  count: number,
): Promise<number> {
  const started = performance.now();
  const told = monitor.events.length;
  let due = started;
  let levels = await card.inputs();
  for (let edge = 0; edge < count; edge++) {
    const line = lines[edge % lines.length]!;
    levels ^= 1 << line;
    await card.set({ [`IN${line}`]: ((levels >>> line) & 1) as 0 | 1 });
    await monitor.seen(told + (edge + 1) * lines.length);
    await card.served();
    due = Math.max(due + periodMs, performance.now());
    await sleep(Math.max(due - performance.now(), 1));
  }
  return (count * 1000) / (performance.now() - started);
}

/** Edges without a look at the guest, until they are stopped; the inputs are 0 then. */
export function keepTurning(card: GpioCard, lines: readonly number[]): { stop(): Promise<void> } {
  let running = true;
  const turning = (async () => {
    for (let turn = 1; running; turn++) {
      await card.set(levelsOf(lines, (turn & 1) as 0 | 1));
      await sleep(2);
    }
    await card.set(levelsOf(lines, 0));
  })();
  return {
    stop: () => {
      running = false;
      return turning;
    },
  };
}

function levelsOf(lines: readonly number[], level: 0 | 1): Levels {
  return Object.fromEntries(lines.map((line) => [`IN${line}`, level]));
}

/** Whether no event is earlier than the one before. */
export function inOrder(events: readonly LineEvent[]): boolean {
  return events.every(({ atMs }, index) => index === 0 || atMs >= events[index - 1]!.atMs);
}

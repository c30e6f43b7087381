import { AdminOpcode, type QueuePair } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { type Machine, started, ways } from './machine.ts';

/** Feature 08h: Aggregation Time in 100 us, Aggregation Threshold 0-based. */
const aggregate = (timeMs: number, entries: number) => (timeMs * 10 * 256) | (entries - 1);
const coalescingDisabled = 1 << 16;

describe.each(ways)('feature 08h, interrupt coalescing, and feature 09h, vectors without it, %s memory', (way) => {
  /** Reads that complete at once; then how many interrupts have come at vector 1. */
  async function coalescing(value: number) {
    const made = await started(way, { interrupts: 'msix', vectors: 3 });
    await made.driver.setFeature(8, value);
    await made.settle();
    made.driver.vectors[1]!.take();
    return made;
  }
  async function read({ queue, settle, ram }: Pick<Machine, 'settle' | 'ram'> & { queue: QueuePair }) {
    queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
  }

  test('an interrupt waits for the threshold', async () => {
    const made = await coalescing(aggregate(20, 4));
    const taken: number[] = [];
    for (let count = 0; count < 4; count++) {
      await read(made);
      taken.push(made.driver.vectors[1]!.take());
    }
    expect(taken).toEqual([0, 0, 0, 1]);
    expect(made.queue.reap()).toBe(4);
    // The entries are there, interrupt or not, and a driver that looks sees them.
    await read(made);
    expect([made.driver.vectors[1]!.take(), made.queue.reap()]).toEqual([0, 1]);
  });

  test('or for the time, and not longer', async () => {
    const made = await coalescing(aggregate(20, 4));
    const { slot, settle, driver } = made;
    await read(made);
    slot.clock.advance(19);
    await settle();
    expect(driver.vectors[1]!.take()).toBe(0);
    slot.clock.advance(1);
    await settle();
    expect(driver.vectors[1]!.take()).toBe(1);
  });

  test('what has been consumed meanwhile is not told', async () => {
    const made = await coalescing(aggregate(20, 4));
    await read(made);
    expect(made.queue.reap()).toBe(1);
    await made.settle();
    made.slot.clock.advance(100);
    await made.settle();
    expect(made.driver.vectors[1]!.take()).toBe(0);
  });

  test.each([
    ['no time', aggregate(0, 4)],
    ['a threshold of one', aggregate(20, 1)],
  ])('%s is no coalescing', async (_name, value) => {
    const made = await coalescing(value);
    await read(made);
    expect(made.driver.vectors[1]!.take()).toBe(1);
  });

  test('not of a vector that has it disabled, nor of the admin queue', async () => {
    const made = await coalescing(aggregate(20, 4));
    const { driver, settle } = made;
    await driver.setFeature(9, coalescingDisabled | 1);
    await read(made);
    expect(driver.vectors[1]!.take()).toBe(1);
    await driver.setFeature(9, 1);
    await read(made);
    await settle();
    expect(driver.vectors[1]!.take()).toBe(0);
    // Admin commands were all answered by interrupts, without time going by.
    expect((await driver.adminCommand({ opcode: AdminOpcode.getFeatures, cdw10: 9, cdw11: 1 })).dw0).toBe(1);
  });

  test('a reset forgets it, and what waited', async () => {
    const made = await coalescing(aggregate(20, 4));
    const { driver, slot, settle } = made;
    await read(made);
    await driver.enable();
    expect(await driver.getFeature(8)).toBe(0);
    made.driver.vectors[1]!.take();
    slot.clock.advance(100);
    await settle();
    expect(driver.vectors[1]!.take()).toBe(0);
    const queue = await driver.createQueues(1);
    await read({ ...made, queue });
    expect(driver.vectors[1]!.take()).toBe(1);
  });

  test('the pin is level, and does not wait', async () => {
    const made = await started(way, { interrupts: 'intx' });
    await made.driver.setFeature(8, aggregate(20, 4));
    await read(made);
    expect(made.controller.interruptLevel()).toBe(true);
  });
});

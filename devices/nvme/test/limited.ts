import type { Limits } from '@sidecard/block';
import { blockCommand, NvmOpcode, type QueuePair } from '@sidecard/testing';
import { expect } from 'vitest';
import { type Machine, started, type Way } from './machine.ts';

export const blocks = { blockBytes: 512 };
export const slow: Limits = { iops: 1, bytesPerSecond: null };

/** Dword 0 of Abort's completion. */
export const [aborted, notAborted] = [0, 1];

export type Made = Machine & { queue: QueuePair };

export function limit({ controller }: Machine, limits: Limits, nsid = 1): void {
  controller.namespaces.allocated(nsid)!.setLimits(limits);
}
export const waiting = ({ controller }: Machine, nsid = 1) => controller.namespaces.allocated(nsid)!.limiter.waiting;

/** Lets time pass, in which the guest does nothing. */
export function pass({ server, settle }: Machine, ms: number): void {
  settle();
  server.clock.advance(ms);
  settle();
}

export function submit(queue: QueuePair, opcode: number, prp1: number, slba = 0): number {
  return queue.submit({ opcode, nsid: 1, prp1, cdw10: slba, cdw12: 0 });
}

/** A machine at one operation a second, of which `count` reads wait. */
export async function waits(way: Way, count = 5) {
  const made = await started(way);
  limit(made, slow);
  const target = made.ram.allocate(4096);
  await made.driver.read(made.queue, 1, 0, 512, blocks);
  const cids = Array.from({ length: count }, () => submit(made.queue, NvmOpcode.read, target));
  made.settle();
  expect(waiting(made)).toBe(count);
  return { ...made, cids, target };
}

/** A guest that always has 32 reads under way, for so many milliseconds. How many ended in each hundred. */
export async function load(made: Made, lengthBytes: number, ms: number): Promise<number[]> {
  const { queue, ram, server, settle } = made;
  const target = ram.allocate(lengthBytes);
  const counts: number[] = [];
  const cids = new Set<number>();
  for (let passed = 0; passed < ms; passed++) {
    if (passed % 100 === 0) counts.push(0);
    for (const cid of cids) {
      if (queue.poll(cid) === null) continue;
      expect((await queue.completion(cid)).status).toBe(0);
      cids.delete(cid);
      counts[counts.length - 1]!++;
    }
    while (cids.size < 32) {
      cids.add(queue.push({ ...blockCommand(NvmOpcode.read, 1, 0, lengthBytes, blocks), prp1: target }));
    }
    queue.ring();
    settle(20);
    server.clock.advance(1);
    settle(20);
  }
  return counts;
}

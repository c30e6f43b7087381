import type { NvmeCommand, NvmeDriver, QueuePair } from '@sidecard/testing';
import { expect } from 'vitest';

/** How a wrong command ends: its status, and the field that the error log blames, as byte and bit of the command. */
export type Mistake = readonly [status: number, byte: number, bit: number];

/** Submits a command that is wrong, and finds its entry in the error log (log page 01h), which is the newest. */
export async function mistakeOf(driver: NvmeDriver, queue: QueuePair, command: NvmeCommand): Promise<Mistake> {
  const { status, more, doNotRetry, cid } = await driver.submit(queue, command);
  const entry = new DataView((await driver.logPage(1, 64)).buffer);
  expect({ more, doNotRetry }).toEqual({ more: true, doNotRetry: true });
  expect([entry.getUint16(8, true), entry.getUint16(10, true)]).toEqual([queue.id, cid]);
  expect((entry.getUint16(12, true) >>> 1) & 0x7ff).toBe(status);
  expect(entry.getUint32(24, true)).toBe(command.nsid ?? 0);
  const location = entry.getUint16(14, true);
  return [status, location & 0xff, location >>> 8];
}

import type { NvmeDriver, QueuePair, Ram } from '@sidecard/testing';
import { expect } from 'vitest';
import { pattern } from './machine.ts';
import type { TestDrive } from './test-drive.ts';

/** What resets are tried on, whatever the machine. */
interface Resettable {
  readonly driver: NvmeDriver;
  readonly drive: TestDrive;
  readonly ram: Ram;
}

/** Reads that are at the drive, of two queues, and one not fetched yet. */
export async function makeBusy<M extends Resettable & { readonly queue: QueuePair; settle(): unknown }>(made: M) {
  const { driver, drive, queue, ram } = made;
  const second = await driver.createQueues(2);
  const target = ram.allocate(0x8000);
  drive.bytes.set(pattern(1 << 20));
  drive.stalled = true;
  for (let index = 0; index < 4; index++) {
    for (const one of [queue, second]) one.submit({ opcode: 2, nsid: 1, prp1: target + index * 4096 });
  }
  await made.settle();
  return { ...made, second, target };
}

/** The device works as if nothing had been. */
export async function works({ driver, drive }: Pick<Resettable, 'driver' | 'drive'>): Promise<void> {
  await driver.enable();
  const queue = await driver.createQueues(1);
  const data = pattern(4096, 9);
  await driver.write(queue, 1, 64, data, { blockBytes: 512 });
  expect(drive.bytes.subarray(64 * 512, 64 * 512 + 4096)).toEqual(data);
  expect(await driver.read(queue, 1, 64, 4096, { blockBytes: 512 })).toEqual(data);
}

/** Asks for a start with new admin queues, and waits for nothing. AQA is as it was. */
export function askForStart({ driver, ram }: Pick<Resettable, 'driver' | 'ram'>): void {
  driver.registers.asq = ram.allocate(4096);
  driver.registers.acq = ram.allocate(4096);
  driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
}

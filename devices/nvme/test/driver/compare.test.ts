import { NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { placements } from '../placements.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

describe.each(ways)('Compare, %s memory', (way) => {
  test.each([512, 4096, 100 * 512, 1300 * 512])('%i bytes that are equal, and that are not', async (sizeBytes) => {
    const { driver, queue, drive } = await started(way, { ramBytes: 64 << 20 });
    const data = pattern(sizeBytes);
    drive.bytes.set(data, 512);
    for (const placement of placements) {
      const options = { blockBytes: 512, ...placement };
      await driver.compare(queue, 1, 1, data, options);
      for (const at of [0, sizeBytes / 2, sizeBytes - 1]) {
        const other = data.slice();
        other[at] = other[at]! ^ 1;
        await expect(driver.compare(queue, 1, 1, other, options)).rejects.toThrow('2h/85h');
      }
    }
    expect(drive.bytes.subarray(512, 512 + sizeBytes)).toEqual(data);
  });

  test('many at once do not mix', async () => {
    const { driver, queue, drive } = await started(way);
    const data = pattern(16 * 4096);
    drive.bytes.set(data);
    const compares = Array.from({ length: 16 }, (_, index) =>
      driver.compare(queue, 1, index * 8, data.subarray(index * 4096, index * 4096 + 4096), { blockBytes: 512 }),
    );
    await Promise.all(compares);
  });

  test('FUA: what it is compared with is durable first', async () => {
    const { driver, queue, drive } = await started(way);
    await driver.compare(queue, 1, 0, new Uint8Array(512), { blockBytes: 512, fua: true });
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['flush', 'read']);
  });

  test('a drive that cannot read: its status, and no Compare Failure', async () => {
    const { driver, queue, drive } = await started(way);
    drive.fail = () => 5;
    await expect(driver.compare(queue, 1, 0, pattern(512), { blockBytes: 512 })).rejects.toThrow('2h/81h');
  });

  test('a miscompare is told once, and is nothing for the error log', async () => {
    const { driver, queue } = await started(way);
    const compared = driver.compare(queue, 1, 0, pattern(512), { blockBytes: 512 });
    await expect(compared).rejects.toMatchObject({ completion: { status: 0x285, doNotRetry: true, more: false } });
    expect((await driver.logPage(1, 64)).every((byte) => byte === 0)).toBe(true);
  });

  test('wrong fields', async () => {
    const { driver, queue, ram, drive } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const prp1 = ram.allocate(4096);
    const compare = { opcode: NvmOpcode.compare, nsid: 1, prp1 };
    const wrong = (more: object) => mistakeOf(driver, queue, { ...compare, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong({ cdw10: 4096 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 0xffff_ffff, cdw11: 0xffff_ffff })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw12: 2048 })).toEqual([Status.invalidField, 48, 0]); // a block more than MDTS
    expect(await wrong({ prp1: prp1 + 2 })).toEqual([Status.invalidPrpOffset, 24, 0]);
    expect(drive.seen).toEqual([]);
    // LR, and what is for protection information.
    const { status } = await driver.submit(queue, { ...compare, cdw12: 0xbd00_0000 | 0, cdw2: 1, cdw14: 1, cdw15: 1 });
    expect(status).toBe(Status.success);
  });
});

test('as many of the largest as there are slots: none fails for want of memory', async () => {
  const { driver, ram, drive, settle } = await started('mapped', {
    drives: [new TestDrive(1 << 20)],
    ramBytes: 64 << 20,
  });
  const queue = await driver.createQueues(2, { entries: 512 });
  const data = ram.allocate(1 << 20);
  const list = ram.allocate(4096);
  const entries = new BigUint64Array(255).map((_, i) => BigInt(data + 4096 * (i + 1)));
  ram.store(list, new Uint8Array(entries.buffer));
  drive.stalled = true;
  const cids: number[] = [];
  for (let i = 0; i < 500; i++)
    cids.push(queue.push({ opcode: NvmOpcode.compare, nsid: 1, prp1: data, prp2: list, cdw12: 2047 }));
  queue.ring();
  await settle();
  drive.stalled = false;
  const statuses = new Set<number>();
  for (const cid of cids) statuses.add((await queue.completion(cid)).status);
  expect([...statuses]).toEqual([0]);
});

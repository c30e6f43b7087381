import { attachNamespace, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const EIO = 5;

describe.each(ways)('Flush, %s memory', (way) => {
  test('of one namespace, and of all', async () => {
    const drives = [new TestDrive(1 << 20, { seed: 1 }), new TestDrive(1 << 20, { seed: 2 })];
    const { driver, queue } = await started(way, { drives });
    await driver.flush(queue, 2);
    expect(drives.map(({ seen }) => seen.length)).toEqual([0, 1]);
    await driver.flush(queue, 0xffff_ffff);
    expect(drives.map(({ seen }) => seen.length)).toEqual([1, 2]);
    const wrong = (nsid: number) => mistakeOf(driver, queue, { opcode: NvmOpcode.flush, nsid });
    expect(await wrong(3)).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong(17)).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong(0)).toEqual([Status.invalidNamespace, 4, 0]);
  });

  test('of all: one that fails keeps none of the others from being durable', async () => {
    const drives = [1, 2, 3].map((seed) => new TestDrive(1 << 20, { seed }));
    const { driver, queue } = await started(way, { drives });
    for (const [index, failing] of drives.entries()) {
      failing.fail = () => EIO;
      const { status } = await driver.submit(queue, { opcode: NvmOpcode.flush, nsid: 0xffff_ffff });
      expect(status).toBe(Status.writeFault);
      failing.fail = () => 0;
      // One that has failed stays failed, and is not asked again.
      expect(drives.map(({ seen }) => seen.length)).toEqual([1, Math.min(2, index + 1), index + 1]);
    }
  });

  test('of all does not mind a namespace that is detached', async () => {
    const drives = [new TestDrive(1 << 20, { seed: 1 }), new TestDrive(1 << 20, { seed: 2 })];
    const { driver, queue } = await started(way, { drives });
    drives[1]!.fail = ({ operation }) => (operation === 'flush' ? EIO : 0);
    const all = { opcode: NvmOpcode.flush, nsid: 0xffff_ffff };
    expect((await attachNamespace(driver, 2, 'detach')).status).toBe(Status.success);
    expect((await driver.submit(queue, all)).status).toBe(Status.success);
    // But what turns the cache off has to mean every drive.
    await expect(driver.setFeature(6, 0)).rejects.toThrow('2h/80h');
  });

  test('a cache that is turned off (06h) is off for writes that are at the drive', async () => {
    const { driver, queue, drive, settle } = await started(way);
    const write = { opcode: NvmOpcode.writeZeroes, nsid: 1, cdw12: 7 };
    for (const turnedOnAgain of [false, true]) {
      await driver.setFeature(6, 1);
      drive.seen.length = 0;
      drive.stalled = true;
      const plain = queue.submit(write);
      await settle();
      const off = driver.admin.submit({ opcode: 0x09, cdw10: 6, cdw11: 0 });
      await settle();
      expect(driver.admin.poll(off)).toBe(null);
      // A flush now would be of what has completed, and of nothing else.
      expect(drive.seen.map(({ operation }) => operation)).toEqual(['writeZeroes']);
      if (turnedOnAgain) {
        // Then there is nothing to wait for but its own flush.
        const on = driver.admin.submit({ opcode: 0x09, cdw10: 6, cdw11: 1 });
        await settle();
        expect(driver.admin.poll(on)).toMatchObject({ status: 0 });
      }
      drive.stalled = false;
      expect((await queue.completion(plain)).status).toBe(0);
      expect((await driver.admin.completion(off)).status).toBe(0);
      expect(drive.seen.map(({ operation }) => operation)).toEqual(['writeZeroes', 'flush']);
    }
  });

  test('that failed stays failed, and so do durable writes', async () => {
    const { driver, queue, drive } = await started(way);
    drive.fail = ({ operation }) => (operation === 'flush' ? EIO : 0);
    expect((await driver.submit(queue, { opcode: NvmOpcode.flush, nsid: 1 })).status).toBe(Status.writeFault);
    drive.fail = () => 0;
    expect((await driver.submit(queue, { opcode: NvmOpcode.flush, nsid: 1 })).status).toBe(Status.writeFault);
    expect((await driver.submit(queue, { opcode: NvmOpcode.flush, nsid: 0xffff_ffff })).status).toBe(Status.writeFault);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    await expect(driver.write(queue, 1, 0, pattern(512), { blockBytes: 512, fua: true })).rejects.toThrow('2h/80h');
    const health = await driver.logPage(2, 512);
    expect(health[0]).toBe(1 << 2);
    // A reset of the controller does not bring the data back.
    await driver.enable();
    const again = await driver.createQueues(1);
    expect((await driver.submit(again, { opcode: NvmOpcode.flush, nsid: 1 })).status).toBe(Status.writeFault);
  });

  test('that was not answered in time has not failed for good', async () => {
    const { driver, queue, drive } = await started(way);
    drive.fail = ({ operation }) => (operation === 'flush' ? 110 : 0);
    for (const nsid of [1, 0xffff_ffff]) {
      expect((await driver.submit(queue, { opcode: NvmOpcode.flush, nsid })).status).toBe(Status.namespaceNotReady);
    }
    drive.fail = () => 0;
    await driver.flush(queue, 1);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512, fua: true });
    expect((await driver.logPage(2, 512))[0]).toBe(0);
  });

  test('a cache that is turned off: flushed at once, and every write durable from then on', async () => {
    const { driver, queue, drive } = await started(way);
    expect(await driver.getFeature(6)).toBe(1);
    await driver.setFeature(6, 0);
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['flush']);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    expect(drive.seen.at(-1)).toMatchObject({ operation: 'write', fua: true });
    await driver.setFeature(6, 1);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    expect(drive.seen.at(-1)).toMatchObject({ operation: 'write', fua: false });
  });
});

import { datasetRanges, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { sglPlacements } from '../placements.ts';
import { TestDrive } from '../test-drive.ts';
import { started, ways } from './machine.ts';

/** Dword 11: the dataset is to be deallocated; hints that it is read, or written, as a whole. */
const [deallocate, wholeReads, wholeWrites] = [1 << 2, 1 << 0, 1 << 1];
const manage = { opcode: NvmOpcode.datasetManagement, nsid: 1, cdw11: deallocate };

// Dataset Management (NVM Command Set 1.0, 3.2.3).
describe.each(ways)('Dataset Management, %s memory', (way) => {
  test.each([{}, ...sglPlacements])('Deallocate, range by range, %o', async (placement) => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.fill(1);
    const ranges = Array.from({ length: 256 }, (_, index) => ({ lba: index * 8, blocks: index % 4 }));
    await driver.deallocate(queue, 1, ranges, placement);
    for (const { lba, blocks } of ranges) {
      const begin = lba * 512;
      expect(drive.bytes.subarray(begin, begin + blocks * 512).every((byte) => byte === 0)).toBe(true);
      expect(drive.bytes[begin + blocks * 512]).toBe(1);
    }
    expect(drive.seen).toHaveLength(192);
  });

  test('a range that is not there: nothing is discarded, and the error log has its first block', async () => {
    const { driver, queue, drive } = await started(way);
    for (const wrong of [
      { lba: 2047, blocks: 2 },
      { lba: 2048, blocks: 1 },
      { lba: 0, blocks: 0xffff_ffff },
      { lba: 2 ** 52, blocks: 1 },
    ]) {
      const ranges = [{ lba: 0, blocks: 8 }, wrong];
      await expect(driver.deallocate(queue, 1, ranges)).rejects.toThrow('0h/80h');
    }
    expect(drive.seen).toEqual([]);
  });

  test('a range of no blocks is nowhere, and so not beyond the end', async () => {
    const { driver, queue, drive } = await started(way);
    const ranges = [2048, 2 ** 52, 0].map((lba) => ({ lba, blocks: 0 }));
    await driver.deallocate(queue, 1, [...ranges, { lba: 5, blocks: 1 }]);
    expect(drive.seen).toMatchObject([{ operation: 'discard', offset: 5 * 512, lengthBytes: 512 }]);
  });

  test('hints alone do nothing; every combination of attributes is allowed', async () => {
    const { driver, queue, drive } = await started(way);
    const data = datasetRanges([{ lba: 3, blocks: 1 }]);
    // Context attributes are hints too.
    data.fill(0xff, 0, 4);
    for (let attributes = 0; attributes < 8; attributes++) {
      await driver.transferOut(queue, { ...manage, cdw11: attributes }, data);
      const discards = (attributes & deallocate) === 0 ? 0 : 1;
      expect([attributes, drive.seen.splice(0).length]).toEqual([attributes, discards]);
    }
    expect(wholeReads | wholeWrites | deallocate).toBe(7);
  });

  test('reports no limits: DMRL, DMRSL and DMSL in CNS 06h are 0', async () => {
    const { driver } = await started(way);
    expect((await driver.identify(6)).subarray(3, 16).every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    ['EIO', 5, Status.writeFault],
    ['ENOSPC', 28, Status.capacityExceeded],
    ['EROFS', 30, Status.namespaceWriteProtected],
  ])('a drive that answers %s: the ranges before are discarded', async (_name, errno, status) => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.fill(1);
    drive.fail = ({ offset }) => (offset === 4096 ? errno : 0);
    const ranges = [0, 8, 16].map((lba) => ({ lba, blocks: 1 }));
    await expect(driver.deallocate(queue, 1, ranges)).rejects.toMatchObject({ completion: { status } });
    expect([0, 4096, 8192].map((offset) => drive.bytes[offset])).toEqual([0, 1, 1]);
  });

  test('wrong fields, and a read-only drive, which takes hints', async () => {
    const drives = [new TestDrive(1 << 20), new TestDrive(1 << 20, { readOnly: true })];
    const { driver, queue, ram } = await started(way, { drives });
    const prp1 = ram.allocate(4096);
    const wrong = (more: object) => mistakeOf(driver, queue, { ...manage, prp1, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 3 })).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong({ nsid: 17 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.namespaceWriteProtected, 4, 0]);
    expect(await wrong({ prp1: prp1 + 2 })).toEqual([Status.invalidPrpOffset, 24, 0]);
    const status = async (more: object) => (await driver.submit(queue, { ...manage, prp1, ...more })).status;
    expect(await status({ nsid: 2, cdw11: wholeReads })).toBe(Status.success);
    expect(await status({ prp1: 0xdead_0000 })).toBe(Status.dataTransferError);
    // What is reserved.
    expect(await status({ cdw10: 0xffff_ff00, cdw11: 0xffff_fffc, cdw12: 1, cdw13: 1, cdw14: 1, cdw15: 1 })).toBe(0);
  });
});

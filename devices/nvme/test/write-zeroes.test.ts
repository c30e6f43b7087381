import { blockCommand, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { pattern, started, ways } from './machine.ts';
import { sglPlacements } from './placements.ts';
import { TestDrive } from './test-drive.ts';

describe.each(ways)('Write Zeroes and Dataset Management, %s memory', (way) => {
  test('Write Zeroes, with FUA and the deallocate bit', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 20));
    await driver.writeZeroes(queue, 1, 2, 2048, { blockBytes: 512, fua: true });
    expect(drive.bytes.subarray(0, 1024)).toEqual(pattern(1024));
    expect(drive.bytes.subarray(1024, 3072).every((byte) => byte === 0)).toBe(true);
    expect(drive.bytes[3072]).not.toBe(0);
    const command = blockCommand(NvmOpcode.writeZeroes, 1, 0, 512, { blockBytes: 512 });
    await driver.command(queue, { ...command, cdw12: command.cdw12! | (1 << 25) });
    expect(drive.seen.map(({ fua, mayDeallocate }) => [fua, mayDeallocate])).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  test('Write Zeroes of more than MDTS, to the last block and not beyond', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(4 << 20)] });
    drive.bytes.fill(1);
    await driver.writeZeroes(queue, 1, 0, 4 << 20, { blockBytes: 512 });
    expect(drive.bytes.every((byte) => byte === 0)).toBe(true);
    const beyond = blockCommand(NvmOpcode.writeZeroes, 1, 1, 4 << 20, { blockBytes: 512 });
    expect((await driver.submit(queue, beyond)).status).toBe(Status.lbaOutOfRange);
  });

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

  test('a range that is not there: nothing is discarded', async () => {
    const { driver, queue, drive } = await started(way);
    const ranges = [
      { lba: 0, blocks: 8 },
      { lba: 2047, blocks: 2 },
    ];
    await expect(driver.deallocate(queue, 1, ranges)).rejects.toThrow('0h/80h');
    expect(drive.seen).toEqual([]);
  });

  test('hints alone do nothing', async () => {
    const { driver, queue, drive, ram } = await started(way);
    const prp1 = ram.allocate(4096);
    await driver.command(queue, { opcode: NvmOpcode.datasetManagement, nsid: 1, cdw11: 3, prp1 });
    expect(drive.seen).toEqual([]);
    const nowhere = { opcode: NvmOpcode.datasetManagement, nsid: 1, cdw11: 4, prp1: 0xdead_0000 };
    expect((await driver.submit(queue, nowhere)).status).toBe(Status.dataTransferError);
    expect((await driver.submit(queue, { ...nowhere, nsid: 17 })).status).toBe(Status.invalidNamespace);
  });

  test('blocks near 2 to the power of 64 are not there', async () => {
    const { driver, queue, drive, ram } = await started(way);
    const prp1 = ram.allocate(4096);
    ram.store(prp1, new Uint8Array(16).fill(0xff));
    const discard = { opcode: NvmOpcode.datasetManagement, nsid: 1, cdw11: 4, prp1 };
    expect((await driver.submit(queue, discard)).status).toBe(Status.lbaOutOfRange);
    for (const opcode of [NvmOpcode.writeZeroes, NvmOpcode.compare, NvmOpcode.write]) {
      const far = { opcode, nsid: 1, cdw10: 0xffff_ffff, cdw11: 0xffff_ffff, prp1 };
      expect((await driver.submit(queue, far)).status).toBe(Status.lbaOutOfRange);
      expect((await driver.submit(queue, { ...far, cdw10: 2048, cdw11: 0 })).status).toBe(Status.lbaOutOfRange);
    }
    expect(drive.seen).toEqual([]);
  });
});

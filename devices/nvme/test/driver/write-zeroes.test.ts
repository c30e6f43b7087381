import { blockCommand, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const blocks = { blockBytes: 512 };
const deallocate = 1 << 25;
const zero = { opcode: NvmOpcode.writeZeroes, nsid: 1 };

// Write Zeroes (NVM Command Set 1.0, 3.2.8).
describe.each(ways)('Write Zeroes, %s memory', (way) => {
  test('with FUA and the deallocate bit', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 20));
    await driver.writeZeroes(queue, 1, 2, 2048, { ...blocks, fua: true });
    expect(drive.bytes.subarray(0, 1024)).toEqual(pattern(1024));
    expect(drive.bytes.subarray(1024, 3072).every((byte) => byte === 0)).toBe(true);
    expect(drive.bytes[3072]).not.toBe(0);
    await driver.command(queue, { ...zero, cdw12: deallocate });
    expect(drive.seen.map(({ fua, mayDeallocate }) => [fua, mayDeallocate])).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  test('with the deallocate bit, where holes do not read zeroes (DLFEAT): the zeroes are written', async () => {
    const { driver, queue, drive } = await started(way, {
      drives: [new TestDrive(1 << 20, { discardReadsZeroes: false })],
    });
    await driver.command(queue, { ...zero, cdw12: deallocate });
    expect(drive.seen).toMatchObject([{ operation: 'writeZeroes', mayDeallocate: false }]);
  });

  test('of more than MDTS, to the last block and not beyond; WZSL in CNS 06h is 0, no limit', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(4 << 20)] });
    drive.bytes.fill(1);
    await driver.writeZeroes(queue, 1, 0, 4 << 20, blocks);
    expect(drive.bytes.every((byte) => byte === 0)).toBe(true);
    expect((await driver.identify(6))[1]).toBe(0);
    const beyond = blockCommand(NvmOpcode.writeZeroes, 1, 1, 4 << 20, blocks);
    expect((await driver.submit(queue, beyond)).status).toBe(Status.lbaOutOfRange);
  });

  test('wrong fields, and drives that cannot be written', async () => {
    const drives = [new TestDrive(1 << 20), new TestDrive(1 << 20, { readOnly: true })];
    const { driver, queue, drive } = await started(way, { drives });
    const wrong = (more: object) => mistakeOf(driver, queue, { ...zero, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 3 })).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.namespaceWriteProtected, 4, 0]);
    expect(await wrong({ cdw10: 2048 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 2047, cdw12: 1 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 0xffff_ffff, cdw11: 0xffff_ffff })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(drive.seen).toEqual([]);
  });

  test('fields that change nothing: LR, what is for protection information, pointers', async () => {
    const { driver, queue } = await started(way);
    for (const more of [{ cdw12: 0xbc00_0000 | 0 }, { cdw2: 1, cdw3: 1, cdw14: 1, cdw15: 1 }, { prp1: 1, mptr: 1 }]) {
      expect((await driver.submit(queue, { ...zero, ...more })).status).toBe(Status.success);
    }
  });

  test('counts as no write', async () => {
    const { driver, queue } = await started(way);
    await driver.writeZeroes(queue, 1, 0, 1 << 20, blocks);
    const log = new DataView((await driver.logPage(2, 512)).buffer);
    expect([48, 80].map((offset) => Number(log.getBigUint64(offset, true)))).toEqual([0, 0]);
  });
});

import { blockCommand, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const EIO = 5;
const blocks = { blockBytes: 512 };
/** Verify of block 0, and nothing else said. */
const verify = { opcode: NvmOpcode.verify, nsid: 1 };

// Verify (NVM Command Set 1.0, 3.2.5): the drive reads what it has, and the host gets nothing of it but a status.
describe.each(ways)('Verify, %s memory', (way) => {
  test('reads every block once, and nothing of them reaches the guest', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 20));
    await driver.verify(queue, 1, 3, 5 * 512, blocks);
    expect(drive.seen).toMatchObject([{ operation: 'read', offset: 3 * 512, lengthBytes: 5 * 512 }]);
  });

  test('of more than MDTS, since no data is transferred: 65,536 blocks; VSL in CNS 06h is 0, no limit', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(33 << 20)] });
    await driver.verify(queue, 1, 7, 65_536 * 512, blocks);
    expect(drive.seen.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 32 }, (_, index) => 7 * 512 + (index << 20)),
    );
    expect(drive.seen.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBe(65_536 * 512);
    expect((await driver.identify(6))[0]).toBe(0);
  });

  test('the last piece may be short, of blocks of 4,096 bytes too', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(4 << 20)], lbaBytes: 4096 });
    await driver.verify(queue, 1, 1, 257 * 4096, { blockBytes: 4096 });
    expect(drive.seen.map(({ offset, lengthBytes }) => [offset, lengthBytes])).toEqual([
      [4096, 1 << 20],
      [4096 + (1 << 20), 4096],
    ]);
  });

  test('a block that cannot be read: Unrecovered Read Error, and the error log says where it got to', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(4 << 20)] });
    drive.fail = ({ offset }) => (offset >= 1 << 20 ? EIO : 0);
    const { status, doNotRetry, more } = await driver.submit(queue, { ...verify, cdw12: 8191 });
    expect([status, doNotRetry, more]).toEqual([Status.unrecoveredRead, false, true]);
    expect(drive.seen).toHaveLength(2);
    const log = new DataView((await driver.logPage(1, 64)).buffer);
    expect(Number(log.getBigUint64(16, true))).toBe(2048);
  });

  test('FUA: what is verified is durable first', async () => {
    const { driver, queue, drive } = await started(way);
    await driver.verify(queue, 1, 0, 512, { ...blocks, fua: true });
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['flush', 'read']);
    drive.fail = ({ operation }) => (operation === 'flush' ? EIO : 0);
    await expect(driver.verify(queue, 1, 0, 512, { ...blocks, fua: true })).rejects.toThrow('2h/80h');
    await driver.verify(queue, 1, 0, 512, blocks);
  });

  test('counts as data that is read, and as no read command', async () => {
    const { driver, queue } = await started(way);
    await driver.verify(queue, 1, 0, 1 << 20, blocks);
    const log = new DataView((await driver.logPage(2, 512)).buffer);
    expect([32, 64].map((offset) => Number(log.getBigUint64(offset, true)))).toEqual([3, 0]);
  });

  test('many at once, of a read-only drive', async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(4 << 20, { readOnly: true })] });
    await Promise.all(Array.from({ length: 50 }, (_, lba) => driver.verify(queue, 1, lba, 3 << 20, blocks)));
  });

  test('wrong fields', async () => {
    const { driver, queue, drive } = await started(way);
    const wrong = (more: object) => mistakeOf(driver, queue, { ...verify, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong({ cdw10: 2048 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 2047, cdw12: 1 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 0xffff_ffff, cdw11: 0xffff_ffff })).toEqual([Status.lbaOutOfRange, 40, 0]);
    // PRACT is not for Verify.
    expect(await wrong({ cdw12: 1 << 29 })).toEqual([Status.invalidField, 51, 5]);
    expect(drive.seen).toEqual([]);
  });

  test('fields that change nothing: LR, what is for protection information, and what is reserved', async () => {
    const { driver, queue } = await started(way);
    for (const more of [
      { cdw12: 0x9dff_0000 | 0 },
      { cdw2: -1 >>> 0, cdw3: -1 >>> 0, cdw14: 1, cdw15: 1 },
      { prp1: 1 },
    ]) {
      expect((await driver.submit(queue, { ...verify, ...more })).status).toBe(Status.success);
    }
    const whole = blockCommand(NvmOpcode.verify, 1, 0, 1 << 20, blocks);
    expect((await driver.submit(queue, whole)).status).toBe(Status.success);
  });
});

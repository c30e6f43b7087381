import {
  attachNamespace,
  blockCommand,
  createNamespace,
  deleteNamespace,
  formatNamespace,
  type NvmeDriver,
  NvmOpcode,
  type QueuePair,
  until,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { uncorrectableRanges } from '../../src/limits.ts';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { NoteFile } from '../note-file.ts';
import { TestDrive } from '../test-drive.ts';
import { testPool } from '../test-pool.ts';
import { pattern, started, type Way, ways } from './machine.ts';

const EIO = 5;
const blocks = { blockBytes: 512 };
const mark = { opcode: NvmOpcode.writeUncorrectable, nsid: 1 };

type Writing = (driver: NvmeDriver, queue: QueuePair) => Promise<void>;

/** A machine with an image, of 2,048 blocks, that notes last beside. */
async function withImage(way: Way, file = new NoteFile()) {
  const drive = new TestDrive(1 << 20);
  drive.file = file;
  return { ...(await started(way, { drives: [drive] })), file };
}

// Write Uncorrectable (NVM Command Set 1.0, 3.2.7): blocks that cannot be read until they are written.
describe.each(ways)('Write Uncorrectable, %s memory', (way) => {
  test('Read, Compare, Verify and Copy fail without the drive; what is beside it can be read', async () => {
    const { driver, queue, drive } = await started(way);
    await driver.writeUncorrectable(queue, 1, 8, 4 * 512, blocks);
    const data = pattern(4096);
    for (const reading of [
      () => driver.read(queue, 1, 4, 4096, blocks),
      () => driver.compare(queue, 1, 4, data, blocks),
      () => driver.verify(queue, 1, 4, 4096, blocks),
      () => driver.copy(queue, 1, 100, [{ lba: 4, blocks: 8 }]),
    ]) {
      // Another try would find the same: Do Not Retry.
      await expect(reading()).rejects.toMatchObject({
        message: expect.stringContaining('2h/81h'),
        completion: { doNotRetry: true, more: true, dw0: 0 },
      });
      // The error log has the first of them.
      expect(new DataView((await driver.logPage(1, 64)).buffer).getUint32(16, true)).toBe(8);
    }
    expect(drive.seen).toEqual([]);
    await driver.read(queue, 1, 0, 4096, blocks);
    await driver.read(queue, 1, 12, 4096, blocks);
  });

  test.each([
    ['Write', (driver, queue) => driver.write(queue, 1, 8, pattern(512), blocks)],
    ['Write Zeroes', (driver, queue) => driver.writeZeroes(queue, 1, 8, 512, blocks)],
    ['Copy', (driver, queue) => driver.copy(queue, 1, 8, [{ lba: 0, blocks: 1 }])],
  ] as [string, Writing][])('%s makes the blocks readable that it covers, and those alone', async (_name, write) => {
    const { driver, queue, drive } = await started(way);
    await driver.writeUncorrectable(queue, 1, 7, 3 * 512, blocks);
    await write(driver, queue);
    await driver.read(queue, 1, 8, 512, blocks);
    for (const lba of [7, 9]) await expect(driver.read(queue, 1, lba, 512, blocks)).rejects.toThrow('2h/81h');
    // The data is durable before the mark goes, or a loss of power would bring back what was there before the mark.
    expect(drive.seen.find(({ operation }) => operation.startsWith('write'))).toMatchObject({ fua: true });
    await write(driver, queue);
    expect(drive.seen.at(-1)).toMatchObject({ fua: false });
  });

  test('Deallocate is no write: the blocks stay as they are', async () => {
    const { driver, queue } = await started(way);
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    await driver.deallocate(queue, 1, [{ lba: 0, blocks: 100 }]);
    await expect(driver.read(queue, 1, 8, 512, blocks)).rejects.toThrow('2h/81h');
  });

  test('a write that fails leaves the mark', async () => {
    const { driver, queue, drive } = await started(way);
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    drive.fail = ({ operation }) => (operation === 'write' ? EIO : 0);
    await expect(driver.write(queue, 1, 8, pattern(512), blocks)).rejects.toThrow('2h/80h');
    await expect(driver.read(queue, 1, 8, 512, blocks)).rejects.toThrow('2h/81h');
  });

  test('a controller reset changes nothing', async () => {
    const { driver, queue } = await started(way);
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    await driver.enable();
    const again = await driver.createQueues(1);
    await expect(driver.read(again, 1, 8, 512, blocks)).rejects.toThrow('2h/81h');
  });

  test('lasts beside an image, and is there when it is opened again', async () => {
    const { driver, queue, file } = await withImage(way);
    await driver.writeUncorrectable(queue, 1, 8, 4 * 512, blocks);
    expect(file.marks).toEqual([[8 * 512, 12 * 512]]);
    const again = await withImage(way, file);
    await expect(again.driver.read(again.queue, 1, 11, 512, blocks)).rejects.toThrow('2h/81h');
    await again.driver.write(again.queue, 1, 9, pattern(512), blocks);
    expect(file.marks).toEqual([
      [8 * 512, 9 * 512],
      [10 * 512, 12 * 512],
    ]);
    await again.driver.writeZeroes(again.queue, 1, 0, 1 << 20, blocks);
    expect(file.marks).toBe(undefined);
  });

  test('in a namespace of the pool: lasts with it, and goes with its deletion', async () => {
    const pool = testPool();
    const pooled = { drives: [], controller: { pool: pool.pool } };
    const { driver, queue } = await started(way, pooled);
    await createNamespace(driver, { nsze: 64 });
    await attachNamespace(driver, 1, 'attach');
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    const again = await started(way, { drives: [], controller: { pool: pool.again().pool } });
    await expect(again.driver.read(again.queue, 1, 8, 512, blocks)).rejects.toThrow('2h/81h');
    await deleteNamespace(again.driver, 1);
    await createNamespace(again.driver, { nsze: 64 });
    await attachNamespace(again.driver, 1, 'attach');
    await again.driver.read(again.queue, 1, 8, 512, blocks);
  });

  test('goes with a Format NVM', async () => {
    const { driver, queue, file } = await withImage(way);
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    await formatNamespace(driver, 1, 0);
    await driver.read(queue, 1, 8, 512, blocks);
    expect(file.marks).toBe(undefined);
  });

  test('completes when the mark is durable, and so does the write that takes it off', async () => {
    const { driver, queue, file, settle } = await withImage(way);
    file.stalled = true;
    let done = 0;
    const marking = driver.writeUncorrectable(queue, 1, 8, 512, blocks).then(() => done++);
    await settle();
    expect([done, file.replaced]).toEqual([0, 0]);
    file.stalled = false;
    await marking;
    file.stalled = true;
    const writing = driver.write(queue, 1, 8, pattern(512), blocks).then(() => done++);
    await settle();
    expect([done, file.marks]).toEqual([1, [[4096, 4608]]]);
    file.stalled = false;
    await writing;
    expect([done, file.marks]).toEqual([2, undefined]);
  });

  test('that cannot be kept is a Write Fault, and one line of log', async () => {
    const { driver, queue, file, log } = await withImage(way);
    await driver.writeUncorrectable(queue, 1, 8, 512, blocks);
    file.failing = true;
    await expect(driver.writeUncorrectable(queue, 1, 20, 512, blocks)).rejects.toThrow('2h/80h');
    expect(log.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { message: expect.stringContaining('disk.img.nvme.json: EIO') },
    ]);
    // Neither does a mark go whose going cannot be kept: a restart would bring it back.
    await expect(driver.write(queue, 1, 8, pattern(512), blocks)).rejects.toThrow('2h/80h');
    await expect(driver.read(queue, 1, 8, 512, blocks)).rejects.toThrow('2h/81h');
    file.failing = false;
    await driver.write(queue, 1, 8, pattern(512), blocks);
    await driver.read(queue, 1, 8, 512, blocks);
  });

  test('a reset while a mark is being saved: RDY falls when that has ended', async () => {
    const { driver, queue, file, handle, settle, controller } = await withImage(way);
    file.stalled = true;
    queue.submit(mark);
    await settle();
    driver.registers.cc.value = 0;
    await settle();
    expect([driver.registers.csts.rdy, controller.inFlight]).toEqual([1, 1]);
    file.stalled = false;
    await until(handle.port, () => driver.registers.csts.rdy === 0, 'the reset');
    expect([controller.inFlight, file.replaced]).toEqual([0, 1]);
  });

  test(`${uncorrectableRanges} ranges at most: one more is an Internal Error, and so is a write that would cut one in two`, async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const marking = async (index: number) =>
      (await driver.submit(queue, { ...mark, cdw10: 4 * index, cdw12: 2 })).status;
    for (let index = 0; index < uncorrectableRanges; index++) expect(await marking(index % 1023)).toBe(Status.success);
    expect(await marking(1023)).toBe(Status.success);
    // The same again takes no room, and what touches another is one with it.
    expect(await marking(5)).toBe(Status.success);
    expect((await driver.submit(queue, { ...mark, cdw10: 3 })).status).toBe(Status.success);
    expect((await driver.submit(queue, { ...mark, cdw10: 4 * 10, cdw12: 0 })).status).toBe(Status.success);
    await driver.write(queue, 1, 8 * 4 + 1, pattern(512), blocks);
    await expect(driver.write(queue, 1, 9 * 4 + 1, pattern(512), blocks)).rejects.toThrow('2h/80h');
    await expect(driver.read(queue, 1, 9 * 4 + 1, 512, blocks)).rejects.toThrow('2h/81h');
  });

  test('of one namespace is not of the other', async () => {
    const drives = [new TestDrive(1 << 20, { seed: 1 }), new TestDrive(1 << 20, { seed: 2 })];
    const { driver, queue } = await started(way, { drives });
    await driver.writeUncorrectable(queue, 2, 0, 512, blocks);
    await driver.read(queue, 1, 0, 512, blocks);
    await expect(driver.read(queue, 2, 0, 512, blocks)).rejects.toThrow('2h/81h');
  });

  test('65,536 blocks, more than MDTS', async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(33 << 20)] });
    await driver.command(queue, blockCommand(NvmOpcode.writeUncorrectable, 1, 1, 65_536 * 512, blocks));
    await expect(driver.read(queue, 1, 65_536, 512, blocks)).rejects.toThrow('2h/81h');
    await driver.read(queue, 1, 65_537, 512, blocks);
    await driver.read(queue, 1, 0, 512, blocks);
  });

  test('wrong fields, and drives that cannot be written', async () => {
    const drives = [new TestDrive(1 << 20), new TestDrive(1 << 20, { readOnly: true })];
    const { driver, queue } = await started(way, { drives });
    const wrong = (more: object) => mistakeOf(driver, queue, { ...mark, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.namespaceWriteProtected, 4, 0]);
    expect(await wrong({ cdw10: 2048 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw10: 2047, cdw12: 1 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    await driver.read(queue, 1, 0, 1 << 20, blocks);
  });
});

import { renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { AdminOpcode, attachNamespace, formatNamespace, until } from '@sidecard/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { beginFormat, empty, full, imagedDrive, notes, remaining, to512, to4096 } from '../formats.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const EIO = 5;
const mib = 1 << 20;
const all = 0xffff_ffff;
/** Dword 10: SES. */
const userDataErase = 1 << 9;

/** Takes the folder away that an image is in; what brings it back. */
function takeAway(image: string): () => void {
  const folder = dirname(image);
  const away = `${folder}-away`;
  onTestFinished(() => rmSync(away, { recursive: true, force: true }));
  renameSync(folder, away);
  return () => renameSync(away, folder);
}

describe.each(ways)('Format NVM, %s memory', (way) => {
  test('to blocks of 4096 bytes and back: the blocks are others, and what was in them is gone', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.fill(7);
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.success);
    expect(await driver.identifyNamespace(1)).toMatchObject({ sizeBlocks: 256, capacityBlocks: 256, blockBytes: 4096 });
    expect(empty(drive)).toBe(true);
    expect(drive.seen.at(-1)!.operation).toBe('flush');
    const data = pattern(4096);
    await driver.write(queue, 1, 255, data, { blockBytes: 4096 });
    expect(await driver.read(queue, 1, 255, 4096, { blockBytes: 4096 })).toEqual(data);
    expect((await formatNamespace(driver, 1, to512)).status).toBe(Status.success);
    expect(await driver.identifyNamespace(1)).toMatchObject({ sizeBlocks: 2048, blockBytes: 512 });
    const first = await driver.read(queue, 1, 2040, 4096, { blockBytes: 512 });
    expect(first.every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    ['no secure erase', 0],
    ['user data erase', userDataErase],
  ])('%s: the data is gone', async (_what, ses) => {
    const { driver, drive } = await started(way);
    drive.bytes.fill(7);
    expect((await formatNamespace(driver, 1, to512 | ses)).status).toBe(Status.success);
    expect(empty(drive)).toBe(true);
  });

  test.each([
    ['LBAFL that is not listed', 2, Status.invalidFormat, 40],
    ['LBAFU that is not listed', 1 << 12, Status.invalidFormat, 40],
    ['MSET', 1 << 4, Status.invalidFormat, 40],
    ['PI', 1 << 5, Status.invalidFormat, 40],
    ['PIL', 1 << 8, Status.invalidFormat, 40],
    ['SES: cryptographic erase', 2 << 9, Status.invalidField, 41 | (1 << 8)],
    ['SES: reserved', 7 << 9, Status.invalidField, 41 | (1 << 8)],
  ])('wrong: %s', async (_what, cdw10, status, location) => {
    const { driver, drive } = await started(way);
    drive.bytes.fill(7);
    expect(await formatNamespace(driver, 1, cdw10)).toMatchObject({ status, doNotRetry: true });
    expect(new DataView((await driver.logPage(1, 64)).buffer).getUint16(14, true)).toBe(location);
    expect(full(drive)).toBe(true);
  });

  test('wrong: namespaces that are not there', async () => {
    const { driver } = await started(way);
    expect((await formatNamespace(driver, 0, 0)).status).toBe(Status.invalidNamespace);
    expect((await formatNamespace(driver, 17, 0)).status).toBe(Status.invalidNamespace);
    expect((await formatNamespace(driver, 2, 0)).status).toBe(Status.invalidField);
  });

  test('wrong: blocks that are larger than the namespace', async () => {
    const { driver } = await started(way, { drives: [new TestDrive(2048)] });
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.invalidFormat);
    expect((await formatNamespace(driver, 1, to512)).status).toBe(Status.success);
  });

  test('FFFFFFFFh: all that are attached; one that is not can be formatted by its own nsid', async () => {
    const drives = [1, 2, 3].map((seed) => new TestDrive(mib, { seed }));
    const { driver } = await started(way, { drives });
    for (const drive of drives) drive.bytes.fill(7);
    await attachNamespace(driver, 2, 'detach');
    expect((await formatNamespace(driver, all, to4096)).status).toBe(Status.success);
    expect(drives.map(empty)).toEqual([true, false, true]);
    expect((await formatNamespace(driver, 2, to4096)).status).toBe(Status.success);
    expect(empty(drives[1]!)).toBe(true);
    const detached = await driver.identify(0x11, 2);
    expect(detached[26]).toBe(1);
  });

  test('a read-only namespace, also as one of all: nothing is formatted', async () => {
    const drives = [new TestDrive(mib), new TestDrive(mib, { seed: 2, readOnly: true })];
    const { driver } = await started(way, { drives });
    for (const drive of drives) drive.bytes.fill(7);
    expect((await formatNamespace(driver, 2, 0)).status).toBe(Status.namespaceWriteProtected);
    expect((await formatNamespace(driver, all, 0)).status).toBe(Status.namespaceWriteProtected);
    expect(drives.map(full)).toEqual([true, true]);
  });

  test('what is under way ends first', async () => {
    const { driver, queue, drive, settle } = await started(way);
    drive.stalled = true;
    const prp1 = driver.ram.allocate(4096);
    driver.ram.store(prp1, pattern(512));
    const write = queue.submit({ opcode: 1, nsid: 1, prp1, cdw10: 5 });
    await settle();
    const format = driver.admin.submit({ opcode: AdminOpcode.formatNvm, nsid: 1, cdw10: to4096 });
    await expect.poll(() => remaining(driver)).toBe(100);
    drive.stalled = false;
    expect((await queue.completion(write)).status).toBe(Status.success);
    expect((await driver.admin.completion(format)).status).toBe(Status.success);
    expect(empty(drive)).toBe(true);
  });

  test('meanwhile: commands fail with Format in Progress, and may be tried again', async () => {
    const made = await started(way);
    const { driver, queue, drive } = made;
    const cid = await beginFormat(made);
    const prp1 = driver.ram.allocate(4096);
    for (const opcode of [0, 1, 2, 5, 8, 9]) {
      const completion = await driver.submit(queue, { opcode, nsid: 1, prp1 });
      expect(completion, `opcode ${opcode}`).toMatchObject({ status: Status.formatInProgress, doNotRetry: false });
    }
    expect((await formatNamespace(driver, 1, to512)).status).toBe(Status.formatInProgress);
    expect((await formatNamespace(driver, all, to512)).status).toBe(Status.formatInProgress);
    expect((await attachNamespace(driver, 1, 'detach')).status).toBe(Status.formatInProgress);
    // CNS 08h says that it is not ready, and how much is left.
    const independent = await driver.identify(8, 1);
    expect([independent[3], independent[14]]).toEqual([0x80 | 100, 0]);
    drive.stalled = false;
    expect((await driver.admin.completion(cid)).status).toBe(Status.success);
    expect(await remaining(driver)).toBe(0);
    expect((await driver.identify(8, 1))[14]).toBe(1);
    await driver.read(queue, 1, 0, 4096, { blockBytes: 4096 });
  });

  test('piece by piece, and the guest can see how much is left', async () => {
    const drive = new TestDrive(160 * mib);
    const { driver, controller } = await started(way, { drives: [drive] });
    const left: number[] = [];
    drive.fail = () => {
      left.push(controller.namespaces.allocated(1)!.formatRemaining);
      return 0;
    };
    await formatNamespace(driver, 1, to4096);
    expect(left).toEqual([100, 60, 20, 1]);
    expect(drive.seen.map(({ operation, lengthBytes }) => [operation, lengthBytes / mib])).toEqual([
      ['writeZeroes', 64],
      ['writeZeroes', 64],
      ['writeZeroes', 32],
      ['flush', 0],
    ]);
  });

  test('a reset takes the command back, and the format goes on', async () => {
    const made = await started(way);
    const { driver, drive, settle } = made;
    await beginFormat(made);
    // RDY falls, though the drive stands still.
    await driver.enable();
    expect(await remaining(driver)).toBe(100);
    drive.stalled = false;
    await expect.poll(() => remaining(driver)).toBe(0);
    await settle();
    expect(driver.admin.strays).toEqual([]);
    expect((await driver.identifyNamespace(1)).blockBytes).toBe(4096);
    expect(empty(drive)).toBe(true);
  });

  test('after a shutdown nobody is told any more', async () => {
    const made = await started(way);
    const { driver, drive, settle, controller, handle } = made;
    const cid = await beginFormat(made);
    driver.registers.cc.shn = 1;
    drive.stalled = false;
    await until(handle.port, () => controller.namespaces.allocated(1)!.lbaBytes === 4096, 'the format to end');
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    expect(driver.admin.poll(cid)).toBeNull();
    await driver.enable();
    expect((await driver.identifyNamespace(1)).blockBytes).toBe(4096);
  });

  test('blocks that were marked uncorrectable are not any more', async () => {
    const { driver, controller } = await started(way);
    const { uncorrectable } = controller.namespaces.allocated(1)!;
    uncorrectable.mark(4096, 8192);
    await formatNamespace(driver, 1, to512);
    expect(uncorrectable.count).toBe(0);
  });

  test('the guest hears of it, if it wants to', async () => {
    const { driver, drive, settle } = await started(way);
    await driver.setFeature(0x0b, 1 << 8);
    const cids = [0, 1].map(() => driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest }));
    drive.stalled = true;
    const format = formatNamespace(driver, 1, to4096);
    // Begun: the percentage is not zero any more.
    expect((await driver.admin.completion(cids[0]!)).dw0).toBe((4 << 16) | 2);
    await driver.logPage(4, 4096);
    await settle();
    expect(driver.admin.poll(cids[1]!)).toBeNull();
    drive.stalled = false;
    expect((await driver.admin.completion(cids[1]!)).dw0).toBe((4 << 16) | 2);
    await format;
  });
});

describe('a format that fails', () => {
  test('at the drive: the namespace is as it was, and can be used', async () => {
    const drive = imagedDrive();
    const { driver, queue } = await started('mapped', { drives: [drive] });
    drive.fail = ({ operation }) => (operation === 'writeZeroes' ? EIO : 0);
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.writeFault);
    expect(notes(drive)).toEqual({ version: 1 });
    expect((await driver.identifyNamespace(1)).blockBytes).toBe(512);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
  });

  test('at its flush, which may have lost the zeroes', async () => {
    const drive = imagedDrive();
    const { driver, queue } = await started('mapped', { drives: [drive] });
    drive.fail = ({ operation }) => (operation === 'flush' ? EIO : 0);
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.writeFault);
    expect(notes(drive)).toEqual({ version: 1 });
    // As any flush that failed: it stays failed.
    drive.fail = () => 0;
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
  });

  test('a drive whose flushes fail: what is there stays', async () => {
    const drive = imagedDrive();
    const { driver, queue } = await started('mapped', { drives: [drive] });
    drive.bytes.fill(7);
    drive.fail = ({ operation }) => (operation === 'flush' ? EIO : 0);
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.writeFault);
    expect(full(drive)).toBe(true);
  });

  test('before its intent is durable: nothing has happened', async () => {
    const drive = imagedDrive();
    const { driver, queue, log } = await started('mapped', { drives: [drive] });
    drive.bytes.fill(7);
    takeAway(drive.image);
    expect((await formatNamespace(driver, 1, to4096)).status).toBe(Status.internalError);
    expect(log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      'a format cannot be recorded',
    ]);
    expect(full(drive)).toBe(true);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
  });

  test('before its end is durable: nobody may write what the next start would erase', async () => {
    const drive = imagedDrive();
    const made = await started('mapped', { drives: [drive] });
    const { driver, queue } = made;
    const cid = await beginFormat(made);
    const bringBack = takeAway(drive.image);
    drive.stalled = false;
    expect((await driver.admin.completion(cid)).status).toBe(Status.internalError);
    await expect(driver.read(queue, 1, 0, 512, { blockBytes: 512 })).rejects.toThrow('0h/82h');
    bringBack();
    expect(notes(drive)).toEqual({ version: 1, formatting: 4096 });
    // Another format mends it.
    expect((await formatNamespace(driver, 1, to512)).status).toBe(Status.success);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    expect(notes(drive)).toEqual({ version: 1, lbaBytes: 512 });
  });
});

test('a block device has one LBA format, and can be erased', async () => {
  const drive = new TestDrive(mib);
  drive.bytes.fill(7);
  const { driver } = await started('mapped', { drives: [drive], lbaBytes: 4096, fixedFormat: true });
  expect((await driver.identifyNamespace(1)).raw.subarray(25, 27)).toEqual(Uint8Array.of(0, 0));
  expect((await formatNamespace(driver, 1, 1)).status).toBe(Status.invalidFormat);
  expect((await formatNamespace(driver, 1, 0)).status).toBe(Status.success);
  expect(empty(drive)).toBe(true);
  expect((await driver.identifyNamespace(1)).blockBytes).toBe(4096);
});

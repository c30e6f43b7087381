import {
  type BlockRange,
  blockCommand,
  copyCommand,
  copySources,
  dataBuffer,
  NvmOpcode,
  pointed,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const errno = { EIO: 5, ENOSPC: 28 } as const;
const blocks = { blockBytes: 512 };

/** What a Copy of these is to bring. */
function gathered(bytes: Uint8Array, sources: readonly BlockRange[], lbaBytes = 512): Uint8Array {
  return Buffer.concat(sources.map(({ lba, blocks: count }) => bytes.slice(lba * lbaBytes, (lba + count) * lbaBytes)));
}

const scattered = [
  { lba: 100, blocks: 1 },
  { lba: 7, blocks: 30 },
  { lba: 300, blocks: 8 },
  { lba: 7, blocks: 2 },
];

// Messages of guest memory would have turns of their own.
test('on a drive that is done at once, Copy and Verify have their turns as everybody has', async () => {
  const { queue, ram, drive, slot } = await started('mapped', { drives: [new TestDrive(8 << 20)] });
  const sources = [{ lba: 0, blocks: 8192 }];
  const prp1 = ram.allocate(4096);
  ram.store(prp1, copySources(sources));
  const copy = { ...copyCommand(1, 8192, sources), prp1 };
  const verify = blockCommand(NvmOpcode.verify, 1, 0, 4 << 20, blocks);
  const { server } = slot.server;
  const { turn } = server;
  let most = 0;
  server.turn = () => {
    const before = drive.seen.length;
    const any = turn.call(server);
    most = Math.max(most, drive.seen.length - before);
    return any;
  };
  // At most 1 MiB when it is fetched, and when it goes on: pieces of 256 KiB, read and written; pieces of 1 MiB.
  for (const [command, requests, inTurn] of [
    [copy, 32, 16],
    [verify, 4, 2],
  ] as const) {
    const before = drive.seen.length;
    most = 0;
    expect((await queue.completion(queue.submit(command))).status).toBe(0);
    expect([drive.seen.length - before, most]).toEqual([requests, inTurn]);
  }
});

// Copy (NVM Command Set 1.0, 3.2.2): source ranges, which the data of the command lists, to one range that begins at SDLBA.
describe.each(ways)('Copy, %s memory', (way) => {
  test.each([0, 1])('descriptor format %i: the sources in their order, one after the other', async (format) => {
    const { driver, queue, drive } = await started(way);
    const before = pattern(1 << 20);
    drive.bytes.set(before);
    await driver.copy(queue, 1, 1000, scattered, { format });
    const copied = gathered(before, scattered);
    expect(drive.bytes.subarray(1000 * 512, 1041 * 512)).toEqual(new Uint8Array(copied));
    drive.bytes.set(before.subarray(1000 * 512, 1041 * 512), 1000 * 512);
    expect(drive.bytes).toEqual(before);
  });

  test.each([0, 1])('descriptor format %i: 128 ranges, described by an SGL too', async (format) => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 20));
    const sources = Array.from({ length: 128 }, (_, index) => ({ lba: 7 * (127 - index), blocks: 1 + (index % 7) }));
    const copied = new Uint8Array(gathered(drive.bytes, sources));
    for (const [lba, options] of [
      [1000, { pageOffset: 512 }],
      [1500, { sgl: {} }],
    ] as const) {
      await driver.copy(queue, 1, lba, sources, { format, ...options });
      expect(drive.bytes.subarray(lba * 512, lba * 512 + copied.length)).toEqual(copied);
    }
  });

  test('a large range, in pieces; blocks of 4,096 bytes', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(8 << 20)], lbaBytes: 4096 });
    drive.bytes.set(pattern(2 << 20));
    await driver.copy(queue, 1, 1024, [{ lba: 1, blocks: 300 }]);
    expect(drive.bytes.subarray(4 << 20, (4 << 20) + 300 * 4096)).toEqual(drive.bytes.slice(4096, 301 * 4096));
    expect(Math.max(...drive.seen.map(({ lengthBytes }) => lengthBytes))).toBe(1 << 18);
  });

  test('sources that overlap with the destination are as they are when it gets to them', async () => {
    const { driver, queue, drive } = await started(way);
    const before = pattern(1 << 20);
    drive.bytes.set(before);
    await driver.copy(queue, 1, 4, [{ lba: 0, blocks: 8 }]);
    expect(drive.bytes.subarray(4 * 512, 12 * 512)).toEqual(before.subarray(0, 8 * 512));
    drive.bytes.set(before);
    await driver.copy(queue, 1, 4, [
      { lba: 0, blocks: 4 },
      { lba: 4, blocks: 4 },
    ]);
    // The second range has been written by the first.
    for (const lba of [4, 8]) {
      expect(drive.bytes.subarray(lba * 512, (lba + 4) * 512)).toEqual(before.subarray(0, 4 * 512));
    }
  });

  test('FUA reaches the drive with every write; a cache that is turned off is the same', async () => {
    const { driver, queue, drive } = await started(way);
    const seen = () => drive.seen.splice(0).map(({ operation, fua }) => [operation, fua]);
    await driver.copy(queue, 1, 1000, [{ lba: 0, blocks: 1 }], { fua: true });
    expect(seen()).toEqual([
      ['read', false],
      ['write', true],
    ]);
    await driver.copy(queue, 1, 1000, [{ lba: 0, blocks: 1 }]);
    expect(seen().at(-1)).toEqual(['write', false]);
    await driver.setFeature(6, 0);
    await driver.copy(queue, 1, 1000, [{ lba: 0, blocks: 1 }]);
    expect(seen().at(-1)).toEqual(['write', true]);
  });

  test('counts as a read command and as a write, with what is written', async () => {
    const { driver, queue } = await started(way);
    await driver.copy(queue, 1, 1024, [{ lba: 0, blocks: 1024 }]);
    const log = new DataView((await driver.logPage(2, 512)).buffer);
    expect([32, 48, 64, 80].map((offset) => Number(log.getBigUint64(offset, true)))).toEqual([0, 2, 1, 1]);
  });

  test('what Identify says of it is what works: MSSRL, MCL, MSRC, OCFS', async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(64 << 20, { discardReadsZeroes: true })] });
    const namespace = new DataView((await driver.identify(0, 1)).buffer);
    const [mssrl, mcl, msrc] = [namespace.getUint16(74, true), namespace.getUint32(76, true), namespace.getUint8(80)];
    expect([mssrl, mcl, msrc]).toEqual([65_535, 1 << 18, 127]);
    const controller = new DataView((await driver.identify(1)).buffer);
    expect(controller.getUint16(534, true)).toBe(0b11);
    expect(controller.getUint16(520, true) & (1 << 8)).not.toBe(0);
    await driver.copy(queue, 1, 65_535, [{ lba: 0, blocks: mssrl }]);
    // One block more: no command-specific field is wrong, but an entry.
    const longer = [{ lba: 0, blocks: mssrl + 1 }];
    await expect(driver.copy(queue, 1, 65_536, longer)).rejects.toThrow('1h/83h');
    const most = Array.from({ length: 5 }, () => ({ lba: 0, blocks: mssrl }));
    await expect(driver.copy(queue, 1, 0, most)).rejects.toMatchObject({ completion: { status: 0x183, dw0: 0 } });
  });

  test('a source that is marked uncorrectable: dword 0 says how many ranges were copied before it', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 20));
    await driver.writeUncorrectable(queue, 1, 302, 512, blocks);
    await expect(driver.copy(queue, 1, 1000, scattered)).rejects.toMatchObject({
      completion: { status: Status.unrecoveredRead, dw0: 2, doNotRetry: true },
    });
    expect(drive.bytes.subarray(1000 * 512, 1031 * 512)).toEqual(
      new Uint8Array(gathered(drive.bytes, scattered.slice(0, 2))),
    );
  });

  test.each([
    ['read', errno.EIO, Status.unrecoveredRead],
    ['write', errno.EIO, Status.writeFault],
    ['write', errno.ENOSPC, Status.capacityExceeded],
  ])('a drive that fails a %s, errno %i: its status, and the range in dword 0', async (operation, error, status) => {
    const { driver, queue, drive } = await started(way);
    let count = 0;
    drive.fail = (request) => (request.operation === operation && ++count === 3 ? error : 0);
    await expect(driver.copy(queue, 1, 1000, scattered)).rejects.toMatchObject({ completion: { status, dw0: 2 } });
    count = 2;
    await expect(driver.copy(queue, 1, 1000, scattered)).rejects.toMatchObject({ completion: { status, dw0: 0 } });
    await driver.copy(queue, 1, 1000, scattered);
  });

  test('wrong fields: nothing is copied, and dword 0 is 0', async () => {
    const drives = [new TestDrive(1 << 20), new TestDrive(1 << 20, { readOnly: true })];
    const { driver, queue, ram, drive } = await started(way, { drives });
    const prp1 = ram.allocate(8192);
    ram.store(prp1, copySources(scattered));
    const copy = { ...copyCommand(1, 1000, scattered), prp1, prp2: prp1 + 4096 };
    const wrong = (more: object) => mistakeOf(driver, queue, { ...copy, ...more });
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, 4, 0]);
    expect(await wrong({ nsid: 3 })).toEqual([Status.invalidField, 4, 0]);
    expect(await wrong({ nsid: 2 })).toEqual([Status.namespaceWriteProtected, 4, 0]);
    for (let format = 2; format < 16; format++) {
      expect(await wrong({ cdw12: 3 | (format << 8) })).toEqual([Status.invalidField, 49, 0]);
    }
    expect(await wrong({ cdw12: 128 })).toEqual([Status.commandSizeLimitExceeded, 48, 0]);
    expect(await wrong({ cdw12: 3 | (1 << 20) })).toEqual([Status.invalidField, 50, 4]);
    // The destination is 41 blocks.
    expect(await wrong({ cdw10: 2008 })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ cdw11: 0xffff_ffff })).toEqual([Status.lbaOutOfRange, 40, 0]);
    expect(await wrong({ prp1: prp1 + 2 })).toEqual([Status.invalidPrpOffset, 24, 0]);
    expect(drive.seen).toEqual([]);
    const status = async (more: object) => (await driver.submit(queue, { ...copy, ...more })).status;
    expect(await status({ prp1: 0xdead_0000 })).toBe(Status.dataTransferError);
    // LR, and what is for protection information.
    expect(await status({ cdw10: 1000, cdw12: 3 | 0xbd00_f000, cdw2: 1, cdw3: 1, cdw14: 1, cdw15: 1 })).toBe(0);
  });

  test('a source that is not there: the error log has it', async () => {
    const { driver, queue, drive } = await started(way);
    for (const source of [
      { lba: 2048, blocks: 1 },
      { lba: 2047, blocks: 2 },
      { lba: 2 ** 52, blocks: 1 },
    ]) {
      const rejected = driver.copy(queue, 1, 0, [{ lba: 1, blocks: 1 }, source]);
      await expect(rejected).rejects.toMatchObject({ completion: { status: Status.lbaOutOfRange, dw0: 0 } });
    }
    expect(drive.seen).toEqual([]);
  });

  test('has its destination alone: no write of others comes in between', async () => {
    const { driver, queue, drive, ram } = await started(way, { drives: [new TestDrive(4 << 20)] });
    const other = await driver.createQueues(2);
    drive.slow = true;
    const sources = [{ lba: 0, blocks: 2048 }];
    const list = dataBuffer(ram, 32, 'out');
    list.store(copySources(sources));
    const written = [2, 3].map((value) => {
      const buffer = dataBuffer(ram, 1 << 20, 'out');
      buffer.store(new Uint8Array(1 << 20).fill(value));
      return pointed(blockCommand(NvmOpcode.write, 1, 4096, 1 << 20, blocks), buffer);
    });
    drive.bytes.fill(1, 0, 1 << 20);
    for (let round = 0; round < 20; round++) {
      // Each whole over the destination, before the copy or after it.
      const writing = written.slice(0, 1 + (round % 2)).map((command) => other.push(command));
      const copying = queue.push(pointed(copyCommand(1, 4096, sources), list));
      for (const one of round % 3 === 0 ? [other, queue] : [queue, other]) one.ring();
      expect((await queue.completion(copying)).status).toBe(0);
      for (const cid of writing) expect((await other.completion(cid)).status).toBe(0);
      expect(new Set(drive.bytes.subarray(2 << 20, 3 << 20)).size).toBe(1);
    }
  });

  test('a reset in the middle of it: it ends, and lets its range go', async () => {
    const { driver, queue, drive, pass, controller } = await started(way);
    drive.slow = true;
    const { ram } = driver;
    const prp1 = ram.allocate(4096);
    ram.store(prp1, copySources(scattered));
    for (let turns = 1; turns < 12; turns++) {
      for (const at of [1000, 1010, 1020]) {
        (driver.queues.get(1) ?? queue).submit({ ...copyCommand(1, at, scattered), prp1 });
      }
      pass(turns);
      await driver.enable();
      expect([controller.inFlight, drive.inFlight]).toEqual([0, 0]);
      await driver.createQueues(1);
      await driver.write(driver.queues.get(1)!, 1, 1000, pattern(64 * 512), blocks);
    }
  });
});

import { AdminOpcode, decodeCompletion, encodeCommand } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { TestDrive } from '../test-drive.ts';
import { machine, pattern, started, ways } from './machine.ts';

const enabled = (4 << 20) | (6 << 16) | 1;

test('what CAP, VS and CRTO say', async () => {
  const { handle, driver } = await machine('mapped');
  const bytes = new Uint8Array(8);
  handle.bar(0).read(0, bytes, 0, 8);
  const cap = new DataView(bytes.buffer).getBigUint64(0, true);
  // MQES 4095, CQR, AMS weighted round robin, TO 255, NSSRS, CSS the NVM command set alone, MPSMIN 4 KiB, MPSMAX 64 KiB, CRMS with media.
  expect(cap).toBe(
    4095n | (1n << 16n) | (1n << 17n) | (255n << 24n) | (1n << 36n) | (1n << 37n) | (4n << 52n) | (1n << 59n),
  );
  expect(driver.registers.vs).toBe(0x0002_0000);
  handle.bar(0).read(0x68, bytes, 0, 4);
  expect(new DataView(bytes.buffer).getUint32(0, true)).toBe(255);
  expect(handle.bars[0]).toMatchObject({ index: 0, sizeBytes: 0x4000 });
  expect(handle.classCode).toBe(0x010802);
  expect([handle.vectorCount('intx'), handle.vectorCount('msi'), handle.vectorCount('msix')]).toEqual([1, 32, 65]);
});

test('registers that are not there read zero and take no writes', async () => {
  const { handle, driver } = await machine('mapped');
  const bytes = new Uint8Array(0x1000);
  for (const offset of [0x38, 0x50, 0x70, 0xe00]) handle.bar(0).write(offset, new Uint8Array(8).fill(0xff), 0, 8);
  handle.bar(0).read(0x38, bytes, 0, 0x30);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  driver.registers.cc.value = 0xffff_fffe;
  expect(driver.registers.cc.value & 0xff00_000e).toBe(0);
});

describe('a configuration that cannot be', () => {
  test.each([
    ['another command set', { cc: enabled | (1 << 4) }],
    ['reserved arbitration', { cc: enabled | (2 << 11) }],
    ['arbitration of a vendor', { cc: enabled | (7 << 11) }],
    ['pages of 128 KiB', { cc: enabled | (5 << 7) }],
    ['a queue of one entry', { aqa: 0 }],
    ['an address that is not of a page of 8 KiB', { cc: enabled | (1 << 7), asq: 0x1000 }],
  ])('%s: CSTS.CFS, until it is reset', async (_what, more: { cc?: number; aqa?: number; asq?: number }) => {
    const { driver } = await machine('mapped');
    driver.registers.aqa = more.aqa ?? 0x001f_001f;
    driver.registers.asq = more.asq ?? 0;
    driver.registers.acq = 0;
    driver.registers.cc.value = more.cc ?? enabled;
    expect(driver.registers.csts.value).toBe(2);
    await driver.enable();
    expect(driver.registers.csts.value).toBe(1);
  });
});

describe.each(ways)('starting and stopping, %s memory', (way) => {
  test('a controller reset keeps AQA, ASQ and ACQ, and forgets the rest', async () => {
    const { driver, queue, settle } = await started(way);
    const before = [driver.registers.aqa, driver.registers.asq, driver.registers.acq];
    driver.registers.intms = 5;
    await driver.setFeature(0x0b, 0x100);
    // The driver has its completion before the device knows that it has: until then the reset waits.
    await settle();
    driver.registers.cc.value = 0;
    expect(driver.registers.csts.value).toBe(0);
    expect([driver.registers.aqa, driver.registers.asq, driver.registers.acq]).toEqual(before);
    expect(driver.registers.intms).toBe(0);
    await driver.enable();
    expect(await driver.getFeature(0x0b)).toBe(0);
    expect(queue.id).toBe(1);
    await driver.createQueues(1);
  });

  test('pages of 64 KiB', async () => {
    const { driver, drive, settle } = await machine(way, { drives: [new TestDrive(1 << 20)] });
    const admin = driver.ram.allocate(0x10000, 0x10000);
    const completions = driver.ram.allocate(0x10000, 0x10000);
    driver.registers.aqa = 0x000f_000f;
    driver.registers.asq = admin;
    driver.registers.acq = completions;
    driver.registers.cc.value = enabled | (4 << 7);
    expect(driver.registers.csts.rdy).toBe(1);
    expect(drive.seen).toEqual([]);
    // Inside of such a page nothing more is asked for than PRP1.
    const data = driver.ram.allocate(0x10000, 0x10000);
    const identify = { opcode: AdminOpcode.identify, cdw10: 1, prp1: data + 0x1800 };
    driver.ram.store(admin, encodeCommand(identify, 5));
    // From the last 2 KiB of one into the next, which PRP2 is: begun anywhere else but there it is wrong.
    driver.ram.store(admin + 64, encodeCommand({ ...identify, prp1: data + 0xf800, prp2: data + 0x1000 }, 6));
    driver.trapped.tail(0, 2);
    await settle();
    const ends = [0, 1].map((entry) => decodeCompletion(driver.ram.load(completions + entry * 16, 16)));
    const statuses = [5, 6].map((cid) => ends.find((end) => end.cid === cid)?.status);
    expect(statuses).toEqual([0, Status.invalidPrpOffset]);
    expect(new TextDecoder().decode(driver.ram.load(data + 0x1800 + 24, 8))).toBe('Sidecard');
  });

  test('page size, arbitration and command set do not change while it is enabled', async () => {
    const { driver, queue } = await started(way);
    driver.registers.cc.value = enabled | (4 << 7) | (1 << 4) | (1 << 11);
    expect(driver.registers.cc.value).toBe(enabled);
    const data = pattern(12_288);
    await driver.write(queue, 1, 0, data, { blockBytes: 512, scattered: true });
    expect(await driver.read(queue, 1, 0, 12_288, { blockBytes: 512 })).toEqual(data);
  });

  test('AQA, ASQ and ACQ are read when it starts, and mean nothing to one that runs', async () => {
    const { driver, settle } = await started(way);
    const nowhere = 0xdead_0000;
    driver.registers.aqa = 0;
    driver.registers.asq = nowhere;
    driver.registers.acq = nowhere;
    for (let count = 0; count < 40; count++) await driver.identifyController();
    await settle();
    expect([driver.registers.aqa, driver.registers.asq, driver.registers.csts.value]).toEqual([0, nowhere, 1]);
    driver.registers.cc.value = 0;
    driver.registers.cc.value = enabled;
    expect(driver.registers.csts.cfs).toBe(1);
    await driver.enable();
  });

  test('reserved bits of CC and CSTS take no writes', async () => {
    const { driver } = await started(way);
    driver.registers.cc.value = (enabled | 0xff00_000e) >>> 0;
    expect(driver.registers.cc.value).toBe(enabled);
    driver.registers.csts.value = 0xffff_ffff;
    expect(driver.registers.csts.value).toBe(1);
  });

  test('admin queues of two entries, as OVMF has them', async () => {
    const { driver } = await machine(way, { adminEntries: 2 });
    await driver.enable();
    const queue = await driver.createQueues(1, { entries: 2 });
    for (let lba = 0; lba < 10; lba++) {
      await driver.write(queue, 1, lba, pattern(512, lba), { blockBytes: 512 });
      expect(await driver.read(queue, 1, lba, 512, { blockBytes: 512 })).toEqual(pattern(512, lba));
    }
    await driver.deleteQueues(1);
  });
});

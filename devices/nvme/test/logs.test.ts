import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { pattern, started, ways } from './machine.ts';

const EIO = 5;

describe.each(ways)('Get Log Page, %s memory', (way) => {
  test('log page 02h: SMART counts what was done', async () => {
    const { driver, queue, server } = await started(way);
    await driver.write(queue, 1, 0, pattern(4096), { blockBytes: 512 });
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    await driver.read(queue, 1, 0, 1 << 19, { blockBytes: 512 });
    server.clock.advance(3 * 3_600_000);
    const log = new DataView((await driver.logPage(2, 512)).buffer);
    const count = (offset: number) => Number(log.getBigUint64(offset, true));
    expect(log.getUint16(1, true)).toBe(311);
    expect([32, 48, 64, 80, 112, 128, 160, 176].map(count)).toEqual([2, 1, 2, 1, 1, 3, 0, 0]);
  });

  test('log page 01h, errors: newest first, with the place of a mistake', async () => {
    const { driver, queue, drive } = await started(way);
    drive.fail = () => EIO;
    await expect(driver.read(queue, 1, 5, 512, { blockBytes: 512 })).rejects.toThrow('2h/81h');
    await expect(driver.write(queue, 1, 6, pattern(512), { blockBytes: 512 })).rejects.toThrow('2h/80h');
    await expect(driver.read(queue, 1, 1 << 30, 512, { blockBytes: 512 })).rejects.toThrow('0h/80h');
    const log = new DataView((await driver.logPage(1, 256)).buffer);
    expect([0, 64, 128].map((offset) => log.getUint32(offset, true))).toEqual([3, 2, 1]);
    expect([8, 72, 136].map((offset) => log.getUint16(offset, true))).toEqual([1, 1, 1]);
    expect([12, 76, 140].map((offset) => (log.getUint16(offset, true) >>> 1) & 0x7ff)).toEqual([
      Status.lbaOutOfRange,
      Status.writeFault,
      Status.unrecoveredRead,
    ]);
    expect([16, 80, 144].map((offset) => log.getUint32(offset, true))).toEqual([1 << 30, 6, 5]);
    // SLBA is at byte 40; a drive's trouble is in no field.
    expect([14, 78, 142].map((offset) => log.getUint16(offset, true))).toEqual([40, 0xffff, 0xffff]);
  });

  test('log page 00h, log page 05h, log page 12h, log page 13h: what there is', async () => {
    const { driver } = await started(way);
    const ids = (bytes: Uint8Array, from = 0, count = 256) => {
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, count);
      return [...words.keys()].filter((id) => (words[id]! & 1) !== 0);
    };
    expect(ids(await driver.logPage(0, 1024))).toEqual([0, 1, 2, 3, 4, 5, 0x12, 0x13]);
    expect(ids(await driver.logPage(0x12, 1024))).toEqual([1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 14, 0x16, 0x81]);
    const effects = await driver.logPage(5, 4096);
    const admin = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12];
    expect(ids(effects)).toEqual(way === 'mapped' ? [...admin, 0x7c] : admin);
    expect(ids(effects, 1024)).toEqual([0, 1, 2, 5, 8, 9]);
    // Linux warns of I/O commands that have more than "supported" and "content changes" here, the scope among it.
    const io = new DataView(effects.buffer, effects.byteOffset + 1024, 1024);
    for (let opcode = 0; opcode < 256; opcode++) expect(io.getUint32(4 * opcode, true) & ~3).toBe(0);
    // Every command that the effects log has is answered with something else than Invalid Opcode, and none else is.
    for (const opcode of [3, 7, 0x0d, 0x14, 0x80, 0xff]) {
      expect((await driver.submit(driver.admin, { opcode })).status).toBe(Status.invalidOpcode);
    }
  });

  test('log page 03h, firmware, and log page 04h, changed namespaces', async () => {
    const { driver } = await started(way);
    const firmware = await driver.logPage(3, 512);
    expect(firmware[0]).toBe(1);
    expect(new TextDecoder().decode(firmware.subarray(8, 16))).toBe('0.1.0   ');
    expect((await driver.logPage(4, 4096)).every((byte) => byte === 0)).toBe(true);
  });

  test('offsets, lengths and what is wrong with them', async () => {
    const { driver, ram } = await started(way);
    const whole = await driver.logPage(5, 4096);
    expect(await driver.logPage(5, 128, 0, 1000)).toEqual(whole.slice(1000, 1128));
    expect((await driver.logPage(2, 8192)).subarray(512).every((byte) => byte === 0)).toBe(true);
    const prp1 = driver.ram.allocate(4096);
    const log = { opcode: AdminOpcode.getLogPage, nsid: 0xffff_ffff, prp1, cdw10: 2 | (15 << 16) };
    const statusOf = async (more: object) => (await driver.submit(driver.admin, { ...log, ...more })).status;
    expect(await statusOf({})).toBe(Status.success);
    expect(await statusOf({ cdw12: 512 })).toBe(Status.success); // nothing from its end on
    expect(ram.load(prp1, 64).every((byte) => byte === 0)).toBe(true);
    expect(await statusOf({ cdw12: 2 })).toBe(Status.invalidField);
    expect(await statusOf({ cdw12: 516 })).toBe(Status.invalidField);
    expect(await statusOf({ cdw13: 1 })).toBe(Status.invalidField);
    expect(await statusOf({ cdw14: 1 << 23 })).toBe(Status.invalidField);
    expect(await statusOf({ nsid: 1 })).toBe(Status.invalidField);
    expect(await statusOf({ cdw10: 0x0d })).toBe(Status.invalidLogPage);
    expect(await statusOf({ cdw11: 0xffff })).toBe(Status.invalidField);
  });
});

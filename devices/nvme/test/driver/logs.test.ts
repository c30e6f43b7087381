import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { started, ways } from './machine.ts';

const everyPage = [0, 1, 2, 3, 4, 5, 0x12, 0x13];

/** Words of a page of 32-bit entries, of the codes for which bit 0 is set. */
function supported(bytes: Uint8Array, from = 0): Map<number, number> {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, 256);
  return new Map([...words.entries()].filter(([, word]) => (word & 1) !== 0));
}

describe.each(ways)('Get Log Page, %s memory', (way) => {
  test('log page 00h, supported log pages', async () => {
    const { driver } = await started(way);
    const pages = supported(await driver.logPage(0, 1024));
    // None has offsets by index.
    expect([...pages]).toEqual(everyPage.map((id) => [id, 1]));
    for (let id = 0; id < 256; id++) {
      const command = { opcode: AdminOpcode.getLogPage, cdw10: id, prp1: driver.ram.allocate(4096) };
      const { status } = await driver.submit(driver.admin, command);
      expect([id, status]).toEqual([id, pages.has(id) ? Status.success : Status.invalidLogPage]);
      driver.ram.free(command.prp1);
    }
  });

  test('log page 05h, commands supported and effects: what it has is answered, and nothing else', async () => {
    const { driver, queue, controller } = await started(way);
    const page = await driver.logPage(5, 4096);
    const effects = { admin: supported(page), io: supported(page, 1024) };
    expect(page.subarray(2048).every((byte) => byte === 0)).toBe(true);
    for (let opcode = 0; opcode < 256; opcode++) {
      const offered = opcode !== AdminOpcode.doorbellBufferConfig || controller.offersShadowDoorbells;
      expect(effects.admin.has(opcode)).toBe(controller.opcodes.admin[opcode] !== null && offered);
      expect(effects.io.has(opcode)).toBe(controller.opcodes.io[opcode] !== null);
      const missing = [Status.invalidOpcode, Field.opcode, 0];
      if (!effects.io.has(opcode)) expect(await mistakeOf(driver, queue, { opcode, nsid: 1 })).toEqual(missing);
      if (effects.admin.has(opcode) || opcode === AdminOpcode.doorbellBufferConfig) continue;
      expect(await mistakeOf(driver, driver.admin, { opcode })).toEqual(missing);
    }
    // LBCC of Write; no effect of Read. The scope of admin commands is the controller; I/O commands report none.
    expect([effects.io.get(1), effects.io.get(2), effects.admin.get(AdminOpcode.identify)]).toEqual([
      3,
      1,
      1 | (1 << 21),
    ]);
  });

  test('log page 05h of another command set', async () => {
    const { driver } = await started(way);
    const command = { opcode: AdminOpcode.getLogPage, cdw10: 5, cdw14: 2 << 24 };
    expect(await mistakeOf(driver, driver.admin, command)).toEqual([Status.commandSetUnsupported, Field.cdw14 + 3, 0]);
  });

  test('log page 12h, feature identifiers supported and effects', async () => {
    const { driver } = await started(way);
    const features = supported(await driver.logPage(0x12, 1024));
    const ids = [1, 2, 4, 5, 6, 7, 8, 9, 0x0a, 0x0b, 0x0e, 0x16, 0x81];
    // Scopes: a namespace (error recovery), or the controller.
    expect([...features]).toEqual(ids.map((id) => [id, 1 | (id === 5 ? 1 << 20 : 1 << 21)]));
  });

  test('log page 13h, NVMe-MI commands supported and effects: none', async () => {
    const { driver } = await started(way);
    expect((await driver.logPage(0x13, 4096)).every((byte) => byte === 0)).toBe(true);
  });

  test('log page 03h, firmware slot', async () => {
    const { driver } = await started(way);
    const firmware = await driver.logPage(3, 512);
    const revision = new TextDecoder().decode(firmware.subarray(8, 16));
    expect(firmware[0]).toBe(1); // slot 1 is active
    expect(revision).toBe('0.1.0   ');
    expect(revision.trim()).toBe((await driver.identifyController()).firmware);
    expect(firmware.subarray(16).every((byte) => byte === 0)).toBe(true);
  });

  test('log page 04h, changed namespaces: none has', async () => {
    const { driver } = await started(way);
    expect((await driver.logPage(4, 4096)).every((byte) => byte === 0)).toBe(true);
  });

  test('from an offset (LPO), and beyond the end', async () => {
    const { driver, ram } = await started(way);
    const whole = await driver.logPage(5, 4096);
    expect(await driver.logPage(5, 128, 0, 1000)).toEqual(whole.slice(1000, 1128));
    expect(await driver.logPage(5, 4)).toEqual(whole.slice(0, 4));
    expect((await driver.logPage(2, 8192)).subarray(512).every((byte) => byte === 0)).toBe(true);
    expect((await driver.logPage(2, 1 << 20)).length).toBe(1 << 20);
    // Nothing is read from its end on.
    const prp1 = ram.allocate(4096);
    ram.store(prp1, new Uint8Array(64).fill(0xaa));
    const atEnd = { opcode: AdminOpcode.getLogPage, prp1, cdw10: 2 | (15 << 16), cdw12: 512 };
    expect((await driver.submit(driver.admin, atEnd)).status).toBe(Status.success);
    expect(ram.load(prp1, 64).every((byte) => byte === 0)).toBe(true);
  });

  test('wrong fields', async () => {
    const { driver, ram } = await started(way);
    const log = { opcode: AdminOpcode.getLogPage, nsid: 0xffff_ffff, prp1: ram.allocate(4096), cdw10: 2 | (15 << 16) };
    const wrong = (more: object) => mistakeOf(driver, driver.admin, { ...log, ...more });
    expect(await wrong({ cdw10: 0x0d })).toEqual([Status.invalidLogPage, Field.cdw10, 0]);
    expect(await wrong({ cdw12: 2 })).toEqual([Status.invalidField, Field.cdw12, 0]); // LPO: not of a dword,
    expect(await wrong({ cdw12: 516 })).toEqual([Status.invalidField, Field.cdw12, 0]); // behind the end,
    expect(await wrong({ cdw13: 1 })).toEqual([Status.invalidField, Field.cdw12, 0]); // by far
    expect(await wrong({ cdw14: 1 << 23 })).toEqual([Status.invalidField, Field.cdw14 + 2, 7]); // OT
    expect(await wrong({ cdw11: 4 })).toEqual([Status.invalidField, Field.cdw10 + 2, 0]); // NUMD: more than MDTS
    // All are of the controller.
    for (const cdw10 of everyPage) {
      expect(await wrong({ cdw10, nsid: 1 })).toEqual([Status.invalidField, Field.nsid, 0]);
      expect((await driver.submit(driver.admin, { ...log, cdw10, nsid: 0 })).status).toBe(Status.success);
    }
  });

  test('to memory that is not there', async () => {
    const { driver } = await started(way);
    const command = { opcode: AdminOpcode.getLogPage, prp1: 0xdead_0000, cdw10: 2 | (127 << 16) };
    expect((await driver.submit(driver.admin, command)).status).toBe(Status.dataTransferError);
  });
});

import { AdminOpcode, type NvmeCommand, NvmeDriver, PciBus } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { type Machine, machine, pattern, started, ways } from './machine.ts';

const { setFeatures, getFeatures } = AdminOpcode;
/** SEL of Get Features, in dword 10. */
const Select = { current: 0, default: 1 << 8, saved: 2 << 8, capabilities: 3 << 8 } as const;
const everything = [1, 2, 4, 5, 6, 7, 8, 9, 0x0a, 0x0b, 0x0e, 0x16, 0x81];

describe.each(ways)('Set Features and Get Features, %s memory', (way) => {
  test.each([
    ['feature 01h, arbitration', 0x01, 7, 0x0102_0304],
    ['feature 02h, power management: the workload hint', 0x02, 0, 0x20],
    ['feature 04h, temperature threshold', 0x04, 343, 300],
    ['feature 05h, error recovery', 0x05, 0, 500],
    ['feature 06h, volatile write cache', 0x06, 1, 0],
    ['feature 08h, interrupt coalescing', 0x08, 0, 0x0203],
    ['feature 0Ah, write atomicity', 0x0a, 0, 1],
    ['feature 0Bh, asynchronous event configuration', 0x0b, 0, 0x0000_013f],
  ])('%s: current, default and saved value, and over a controller reset', async (_name, feature, initial, value) => {
    const { driver } = await started(way);
    const nsid = feature === 5 ? 1 : 0;
    const get = (select: number) => driver.getFeature(feature | select, nsid);
    expect(await get(Select.current)).toBe(initial);
    await driver.setFeature(feature, value, nsid);
    expect(await get(Select.current)).toBe(value);
    expect(await get(Select.default)).toBe(initial);
    expect(await get(Select.saved)).toBe(initial);
    await driver.enable();
    expect(await get(Select.current)).toBe(initial);
  });

  test('capabilities: all can be changed, none is saved, one is of namespaces', async () => {
    const { driver } = await started(way);
    const capabilities = await Promise.all(
      everything.map((feature) => driver.getFeature(feature | Select.capabilities)),
    );
    expect(capabilities).toEqual(everything.map((feature) => (feature === 5 ? 0b110 : 0b100)));
  });

  test.each<[string, (machine: Machine) => unknown]>([
    ['CC.EN', ({ driver }) => Object.assign(driver.registers.cc, { en: 0 })],
    ['NSSR', ({ driver }) => Object.assign(driver.registers, { nssr: 0x4e56_4d65 })],
    ['Function Level Reset', ({ handle }) => handle.functionLevelReset()],
    ['a reset of the machine', ({ slot }) => slot.reset()],
  ])('no value outlasts %s', async (_level, reset) => {
    const made = await started(way);
    const { driver } = made;
    /** Every value that a driver can see, but the time (timestamp.test.ts). */
    const values = async (of: NvmeDriver) => {
      const words = [0x01, 0x02, 0x06, 0x08, 0x0a, 0x0b].map((id) => ({ cdw10: id }));
      const others = [
        { cdw10: 0x04 },
        { cdw10: 0x04, cdw11: 1 << 20 },
        { cdw10: 0x05, nsid: 1 },
        { cdw10: 0x09, cdw11: 1 },
      ];
      const found: unknown[] = [];
      for (const one of [...words, ...others]) {
        found.push((await of.adminCommand({ opcode: getFeatures, ...one })).dw0);
      }
      found.push(await of.transferIn(of.admin, { opcode: getFeatures, cdw10: 0x16 }, 512));
      found.push(await of.transferIn(of.admin, { opcode: getFeatures, cdw10: 0x81 }, 8));
      return found;
    };
    const before = await values(driver);
    for (const [id, value] of [
      [0x01, 2],
      [0x02, 0x40],
      [0x06, 0],
      [0x08, 0x0303],
      [0x0a, 1],
      [0x0b, 0x3f],
      [0x04, 350],
      [0x04, (1 << 20) | 280],
      [0x09, (1 << 16) | 1],
    ] as const) {
      await driver.setFeature(id, value);
    }
    await driver.setFeature(0x05, 9, 1);
    await driver.transferOut(driver.admin, { opcode: setFeatures, cdw10: 0x16 }, new Uint8Array(512).fill(1, 0, 2));
    await driver.transferOut(driver.admin, { opcode: setFeatures, cdw10: 0x81 }, pattern(8));
    const set = await values(driver);
    set.forEach((value, index) => {
      expect(value).not.toEqual(before[index]);
    });
    await reset(made);
    // Config space may have been reset as well.
    const next = new NvmeDriver(new PciBus().add(made.slot.port));
    await next.enable();
    expect(await values(next)).toEqual(before);
  });

  test('reserved bits are not kept', async () => {
    const { driver } = await started(way);
    for (const [feature, kept] of [
      [0x01, 0xffff_ff07],
      [0x06, 1],
      [0x08, 0xffff],
      [0x0a, 1],
    ] as const) {
      await driver.setFeature(feature, 0xffff_ffff);
      expect(await driver.getFeature(feature)).toBe(kept);
    }
  });

  test('feature 07h, number of queues: 64 of each, whatever is asked for, and not once there are any', async () => {
    const { driver } = await machine(way);
    await driver.enable();
    expect(await driver.setFeature(7, 0x0003_0001)).toBe(0x003f_003f);
    expect(await driver.getFeature(7)).toBe(0x003f_003f);
    const queues = { opcode: setFeatures, cdw10: 7 };
    const wrong = (cdw11: number) => mistakeOf(driver, driver.admin, { ...queues, cdw11 });
    expect(await wrong(0xffff)).toEqual([Status.invalidField, Field.cdw11, 0]);
    expect(await wrong(0xffff_0000)).toEqual([Status.invalidField, Field.cdw11 + 2, 0]);
    await driver.createQueues(1);
    await expect(driver.setFeature(7, 0x0003_0003)).rejects.toThrow('0h/ch');
  });

  test('feature 02h, power management: state 0 is the only one', async () => {
    const { driver } = await started(way);
    const wrong = await mistakeOf(driver, driver.admin, { opcode: setFeatures, cdw10: 2, cdw11: 1 });
    expect(wrong).toEqual([Status.invalidField, Field.cdw11, 0]);
  });

  test('feature 05h, error recovery, is of one namespace, or of all', async () => {
    const drives = [1, 2].map((seed) => new TestDrive(1 << 20, { seed }));
    const { driver } = await started(way, { drives });
    const both = async () => [await driver.getFeature(5, 1), await driver.getFeature(5, 2)];
    await driver.setFeature(5, 10, 2);
    expect(await both()).toEqual([0, 10]);
    await driver.setFeature(5, 7, 0xffff_ffff);
    expect(await both()).toEqual([7, 7]);
    const wrong = (more: Partial<NvmeCommand>) =>
      mistakeOf(driver, driver.admin, { opcode: setFeatures, cdw10: 5, nsid: 1, ...more });
    // DULBE, which no namespace has.
    expect(await wrong({ cdw11: 1 << 16 })).toEqual([Status.invalidField, Field.cdw11 + 2, 0]);
    expect(await wrong({ nsid: 0 })).toEqual([Status.invalidNamespace, Field.nsid, 0]);
    expect(await wrong({ nsid: 3 })).toEqual([Status.invalidField, Field.nsid, 0]);
    expect(await wrong({ opcode: getFeatures, nsid: 3 })).toEqual([Status.invalidField, Field.nsid, 0]);
    expect(await wrong({ opcode: getFeatures, nsid: 17 })).toEqual([Status.invalidNamespace, Field.nsid, 0]);
    expect(await wrong({ opcode: getFeatures, nsid: 0xffff_ffff })).toEqual([Status.invalidNamespace, Field.nsid, 0]);
  });

  test('feature 09h, interrupt vector configuration', async () => {
    const { driver } = await started(way);
    await driver.setFeature(9, (1 << 16) | 64);
    const read = { opcode: getFeatures, cdw10: 9 };
    expect((await driver.adminCommand({ ...read, cdw11: 64 })).dw0).toBe((1 << 16) | 64);
    expect((await driver.adminCommand({ ...read, cdw11: 63 })).dw0).toBe(63);
    for (const opcode of [setFeatures, getFeatures]) {
      const wrong = await mistakeOf(driver, driver.admin, { ...read, opcode, cdw11: 65 });
      expect(wrong).toEqual([Status.invalidField, Field.cdw11, 0]);
    }
    await driver.enable();
    expect((await driver.adminCommand({ ...read, cdw11: 64 })).dw0).toBe(64);
  });

  test('features of the controller are of no namespace', async () => {
    const { driver } = await started(way);
    for (const feature of everything.filter((id) => id !== 5)) {
      const wrong = (nsid: number) => mistakeOf(driver, driver.admin, { opcode: setFeatures, cdw10: feature, nsid });
      expect(await wrong(1)).toEqual([Status.featureNotNamespaceSpecific, Field.nsid, 0]);
      expect(await wrong(2)).toEqual([Status.featureNotNamespaceSpecific, Field.nsid, 0]);
      expect(await wrong(17)).toEqual([Status.invalidNamespace, Field.nsid, 0]);
    }
    await driver.setFeature(0x0b, 1, 0xffff_ffff);
    expect(await driver.getFeature(0x0b, 1)).toBe(1);
  });

  test('nothing is saved, and what is not there is refused', async () => {
    const { driver } = await started(way);
    const wrong = (command: NvmeCommand) => mistakeOf(driver, driver.admin, command);
    const save = { opcode: setFeatures, cdw10: 0x8000_0001 };
    expect(await wrong(save)).toEqual([Status.featureNotSaveable, Field.cdw10 + 3, 7]);
    expect(await wrong({ opcode: getFeatures, cdw10: 1 | (4 << 8) })).toEqual([
      Status.invalidField,
      Field.cdw10 + 1,
      0,
    ]);
    for (const cdw10 of [0x00, 0x03, 0x0c, 0x0d, 0x10, 0x11, 0x19, 0x78, 0x80, 0x84, 0xff]) {
      const missing = [Status.invalidField, Field.cdw10, 0];
      expect(await wrong({ opcode: setFeatures, cdw10 })).toEqual(missing);
      expect(await wrong({ opcode: getFeatures, cdw10 })).toEqual(missing);
    }
  });

  test('no volatile cache, no feature 06h', async () => {
    const drives = [new TestDrive(1 << 20, { volatileCache: false })];
    const { driver } = await started(way, { drives });
    expect((await driver.identifyController()).volatileWriteCache).toBe(false);
    for (const opcode of [setFeatures, getFeatures]) {
      const wrong = await mistakeOf(driver, driver.admin, { opcode, cdw10: 6, cdw11: 1 });
      expect(wrong).toEqual([Status.invalidField, Field.cdw10, 0]);
    }
    // The log of features says the same.
    const features = new DataView((await driver.logPage(0x12, 1024)).buffer);
    expect(features.getUint32(4 * 6, true)).toBe(0);
    expect(features.getUint32(4 * 7, true) & 1).toBe(1);
  });
});

import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { machine, started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

describe.each(ways)('Set Features and Get Features, %s memory', (way) => {
  test('feature 07h, queues: 64 of each, whatever is asked for, and not once there are any', async () => {
    const { driver } = machine(way);
    await driver.enable();
    expect(await driver.setFeature(7, 0x0003_0001)).toBe(0x003f_003f);
    expect(await driver.getFeature(7)).toBe(0x003f_003f);
    await expect(driver.setFeature(7, 0xffff)).rejects.toThrow('0h/2h');
    await driver.createQueues(1);
    await expect(driver.setFeature(7, 0x0003_0003)).rejects.toThrow('0h/ch');
  });

  test.each([
    ['feature 01h, arbitration', 0x01, 7, 0x0102_0304],
    ['feature 08h, interrupt coalescing', 0x08, 0, 0x0203],
    ['feature 0Ah, write atomicity', 0x0a, 0, 1],
    ['feature 0Bh, asynchronous events', 0x0b, 0, 0x0000_01ff],
  ])('%s is kept', async (_name, feature, initial, value) => {
    const { driver } = await started(way);
    expect(await driver.getFeature(feature)).toBe(initial);
    await driver.setFeature(feature, value);
    expect(await driver.getFeature(feature)).toBe(value);
    expect(await driver.getFeature(feature | (1 << 8))).toBe(initial);
    expect(await driver.getFeature(feature | (2 << 8))).toBe(initial);
    expect(await driver.getFeature(feature | (3 << 8))).toBe(4);
  });

  test('feature 02h, power: state 0 is the only one', async () => {
    const { driver } = await started(way);
    await driver.setFeature(2, 0);
    expect(await driver.getFeature(2)).toBe(0);
    await expect(driver.setFeature(2, 1)).rejects.toThrow('0h/2h');
  });

  test('feature 04h, temperature thresholds, over and under', async () => {
    const { driver } = await started(way);
    expect(await driver.getFeature(4)).toBe(343);
    await driver.setFeature(4, 350);
    await driver.setFeature(4, (1 << 20) | 273);
    expect(await driver.getFeature(4)).toBe(350);
    const under = await driver.adminCommand({ opcode: AdminOpcode.getFeatures, cdw10: 4, cdw11: 1 << 20 });
    expect(under.dw0).toBe(273);
    await expect(driver.setFeature(4, (3 << 16) | 300)).rejects.toThrow('0h/2h');
  });

  test('feature 05h, error recovery, is of a namespace', async () => {
    const { driver } = await started(way);
    await driver.setFeature(5, 10, 1);
    expect(await driver.getFeature(5, 1)).toBe(10);
    await expect(driver.setFeature(5, 1 << 16, 1)).rejects.toThrow('0h/2h');
    await expect(driver.getFeature(5, 7)).rejects.toThrow('0h/bh');
  });

  test('error recovery is of one namespace, or of all', async () => {
    const drives = [1, 2].map((seed) => new TestDrive(1 << 20, { seed }));
    const { driver } = await started(way, { drives });
    await driver.setFeature(5, 10, 2);
    expect([await driver.getFeature(5, 1), await driver.getFeature(5, 2)]).toEqual([0, 10]);
    await driver.setFeature(5, 7, 0xffff_ffff);
    expect([await driver.getFeature(5, 1), await driver.getFeature(5, 2)]).toEqual([7, 7]);
    await driver.enable();
    expect(await driver.getFeature(5, 2)).toBe(0);
  });

  test('features of the controller are of no namespace', async () => {
    const { driver } = await started(way);
    for (const feature of [1, 2, 4, 6, 7, 8, 9, 0x0a, 0x0b]) {
      await expect(driver.setFeature(feature, 0, 1)).rejects.toThrow('1h/fh');
      await expect(driver.setFeature(feature, 0, 2)).rejects.toThrow('0h/bh');
    }
    await driver.setFeature(0x0b, 1, 0xffff_ffff);
    expect(await driver.getFeature(0x0b, 1)).toBe(1);
  });

  test('a temperature threshold that is passed is a critical warning, and an event if it is wanted', async () => {
    const { driver, settle } = await started(way);
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    await driver.setFeature(4, 311);
    settle();
    expect((await driver.logPage(2, 512))[0]).toBe(1 << 1);
    expect(driver.admin.poll(cid)).toBeNull();
    await driver.setFeature(0x0b, 1 << 1);
    const event = await driver.admin.completion(cid);
    expect(event.dw0).toBe(1 | (1 << 8) | (2 << 16));
    await driver.setFeature(4, 343);
    expect((await driver.logPage(2, 512))[0]).toBe(0);
    await driver.setFeature(4, (1 << 20) | 320);
    expect((await driver.adminCommand({ opcode: AdminOpcode.asyncEventRequest })).dw0).toBe(1 | (1 << 8) | (2 << 16));
  });

  test('feature 09h, interrupt vectors', async () => {
    const { driver } = await started(way);
    await driver.setFeature(9, (1 << 16) | 64);
    const read = await driver.adminCommand({ opcode: AdminOpcode.getFeatures, cdw10: 9, cdw11: 64 });
    expect(read.dw0).toBe((1 << 16) | 64);
    await expect(driver.setFeature(9, 65)).rejects.toThrow('0h/2h');
  });

  test('nothing is saved, and what is not there is refused', async () => {
    const { driver } = await started(way);
    const save = { opcode: AdminOpcode.setFeatures, cdw10: 0x8000_0001, cdw11: 0 };
    expect((await driver.submit(driver.admin, save)).status).toBe(Status.featureNotSaveable);
    for (const feature of [0x00, 0x03, 0x0c, 0x10, 0x78, 0x80, 0xff]) {
      await expect(driver.setFeature(feature, 0)).rejects.toThrow('0h/2h');
      await expect(driver.getFeature(feature)).rejects.toThrow('0h/2h');
    }
  });

  test('no volatile cache, no feature 06h', async () => {
    const drives = [new TestDrive(1 << 20, { volatileCache: false })];
    const { driver } = await started(way, { drives });
    expect((await driver.identifyController()).volatileWriteCache).toBe(false);
    await expect(driver.setFeature(6, 1)).rejects.toThrow('0h/2h');
    await expect(driver.getFeature(6)).rejects.toThrow('0h/2h');
    // The log of features says the same.
    const features = new DataView((await driver.logPage(0x12, 1024)).buffer);
    expect(features.getUint32(4 * 6, true)).toBe(0);
    expect(features.getUint32(4 * 7, true) & 1).toBe(1);
  });
});

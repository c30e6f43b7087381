import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { started, ways } from './machine.ts';

/** THSEL in dword 11, and an event as its completion has it: SMART / health, temperature threshold, log page 02h. */
const under = 1 << 20;
const event = 1 | (1 << 8) | (2 << 16);

describe.each(ways)('feature 04h, Temperature Threshold, %s memory', (way) => {
  test('one over and one under, of the composite temperature', async () => {
    const { driver } = await started(way);
    const get = async (cdw11: number, select = 0) =>
      (await driver.adminCommand({ opcode: AdminOpcode.getFeatures, cdw10: 4 | (select << 8), cdw11 })).dw0;
    expect([await get(0), await get(under)]).toEqual([343, 0]);
    await driver.setFeature(4, 350);
    await driver.setFeature(4, under | 273);
    expect([await get(0), await get(under)]).toEqual([350, 273]);
    expect([await get(0, 1), await get(under, 1)]).toEqual([343, 0]);
    // TMPSEL Fh sets all sensors, which are one.
    await driver.setFeature(4, (0xf << 16) | 340);
    expect(await get(0)).toBe(340);
  });

  test('sensors and thresholds that there are not', async () => {
    const { driver } = await started(way);
    const wrong = (opcode: number, cdw11: number) => mistakeOf(driver, driver.admin, { opcode, cdw10: 4, cdw11 });
    const { setFeatures, getFeatures } = AdminOpcode;
    for (const opcode of [setFeatures, getFeatures]) {
      expect(await wrong(opcode, (3 << 16) | 300)).toEqual([Status.invalidField, Field.cdw11 + 2, 0]);
      expect(await wrong(opcode, (2 << 20) | 300)).toEqual([Status.invalidField, Field.cdw11 + 2, 4]);
    }
    expect(await wrong(getFeatures, 0xf << 16)).toEqual([Status.invalidField, Field.cdw11 + 2, 0]);
  });

  test('passed: a critical warning, and an event if it is wanted', async () => {
    const { driver, settle } = await started(way);
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    await driver.setFeature(4, 311);
    await settle();
    expect((await driver.logPage(2, 512))[0]).toBe(1 << 1);
    expect(driver.admin.poll(cid)).toBeNull();
    await driver.setFeature(0x0b, 1 << 1);
    expect((await driver.admin.completion(cid)).dw0).toBe(event);
    await driver.setFeature(4, 343);
    expect((await driver.logPage(2, 512))[0]).toBe(0);
    await driver.setFeature(4, under | 320);
    expect((await driver.adminCommand({ opcode: AdminOpcode.asyncEventRequest })).dw0).toBe(event);
  });
});

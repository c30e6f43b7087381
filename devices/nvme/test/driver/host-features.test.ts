import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

type Driver = Pick<Machine, 'driver'>;

function get({ driver }: Driver, cdw10: number, lengthBytes: number, cdw11 = 0): Promise<Uint8Array> {
  return driver.transferIn(driver.admin, { opcode: AdminOpcode.getFeatures, cdw10, cdw11 }, lengthBytes);
}
function set({ driver }: Driver, cdw10: number, data: Uint8Array, cdw11 = 0): Promise<void> {
  return driver.transferOut(driver.admin, { opcode: AdminOpcode.setFeatures, cdw10, cdw11 }, data);
}

describe.each(ways)('feature 16h, Host Behavior Support, %s memory', (way) => {
  test('is kept until the next reset', async () => {
    const made = await started(way);
    const zeroes = new Uint8Array(512);
    expect(await get(made, 0x16, 512)).toEqual(zeroes);
    const behavior = Uint8Array.from(zeroes);
    behavior.set([1, 1]); // ACRE, ETDAS
    await set(made, 0x16, behavior);
    expect(await get(made, 0x16, 512)).toEqual(behavior);
    expect(await get(made, 0x16 | (1 << 8), 512)).toEqual(zeroes);
    await made.driver.enable();
    expect(await get(made, 0x16, 512)).toEqual(zeroes);
  });

  test('values that there are not, and formats that no namespace has (LBAFEE)', async () => {
    const { driver, ram } = await started(way);
    const prp1 = ram.allocate(4096);
    for (const wrong of [
      [2, 0, 0],
      [0, 2, 0],
      [0, 0, 1],
    ]) {
      ram.store(prp1, Uint8Array.from(wrong));
      const command = { opcode: AdminOpcode.setFeatures, cdw10: 0x16, prp1 };
      expect(await mistakeOf(driver, driver.admin, command)).toEqual([Status.invalidField, Field.prp1, 0]);
    }
  });
});

describe.each(ways)('feature 81h, Host Identifier, %s memory', (way) => {
  const extended = 1;

  test('of 64 bits, and of 128 (EXHID)', async () => {
    const made = await started(way);
    expect(await get(made, 0x81, 8)).toEqual(new Uint8Array(8));
    expect(await get(made, 0x81, 16, extended)).toEqual(new Uint8Array(16));
    await set(made, 0x81, pattern(8));
    expect(await get(made, 0x81, 8)).toEqual(pattern(8));
    await set(made, 0x81, pattern(16), extended);
    expect(await get(made, 0x81, 16, extended)).toEqual(pattern(16));
    expect((await made.driver.identifyController()).raw[96]! & 1).toBe(1);
    await made.driver.enable();
    expect(await get(made, 0x81, 16, extended)).toEqual(new Uint8Array(16));
  });

  test('is read as it was set', async () => {
    const made = await started(way);
    const { driver } = made;
    await set(made, 0x81, pattern(16), extended);
    const short = { opcode: AdminOpcode.getFeatures, cdw10: 0x81 };
    expect(await mistakeOf(driver, driver.admin, short)).toEqual([Status.hostIdentifierFormat, Field.cdw11, 0]);
    await set(made, 0x81, pattern(8));
    expect(await mistakeOf(driver, driver.admin, { ...short, cdw11: extended })).toEqual([
      Status.hostIdentifierFormat,
      Field.cdw11,
      0,
    ]);
    expect(await get(made, 0x81 | (1 << 8), 16, extended)).toEqual(new Uint8Array(16));
  });
});

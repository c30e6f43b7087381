import { AdminOpcode, NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { type Machine, started, ways } from './machine.ts';

/** Timestamp, in ms, with Timestamp Origin. */
async function get({ driver }: Pick<Machine, 'driver'>, select = 0): Promise<[number, number]> {
  const command = { opcode: AdminOpcode.getFeatures, cdw10: 0x0e | (select << 8) };
  const data = await driver.transferIn(driver.admin, command, 8);
  const value = new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);
  expect(value >> 52n).toBe(0n); // reserved
  expect((value >> 48n) & 1n).toBe(0n); // Synch: it has never stopped
  return [Number(value & 0xffff_ffff_ffffn), Number((value >> 49n) & 7n)];
}

async function set({ driver }: Pick<Machine, 'driver'>, ms: number): Promise<void> {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, BigInt(ms) | (0xffffn << 48n), true);
  await driver.transferOut(driver.admin, { opcode: AdminOpcode.setFeatures, cdw10: 0x0e }, data);
}

describe.each(ways)('feature 0Eh, Timestamp, %s memory', (way) => {
  test('counts from the reset, until the host sets it', async () => {
    const made = await started(way);
    expect(await get(made)).toEqual([0, 0]);
    made.slot.clock.advance(1500);
    expect(await get(made)).toEqual([1500, 0]);
    await set(made, 1_800_000_000_000);
    made.slot.clock.advance(250);
    expect(await get(made)).toEqual([1_800_000_000_250, 1]);
    expect(await get(made, 1)).toEqual([0, 0]); // default
  });

  test('is modulo 2^48', async () => {
    const made = await started(way);
    await set(made, 2 ** 48 - 10);
    made.slot.clock.advance(15);
    expect(await get(made)).toEqual([5, 1]);
  });

  test('a controller reset or a Function Level Reset keeps what the host has set, and begins again what it has not', async () => {
    const made = await started(way);
    made.slot.clock.advance(1000);
    await made.driver.enable();
    expect(await get(made)).toEqual([0, 0]);
    await set(made, 5_000_000);
    made.slot.clock.advance(1000);
    await made.driver.enable();
    expect(await get(made)).toEqual([5_001_000, 1]);
    made.handle.functionLevelReset();
    made.handle.setBusMaster(true);
    await made.driver.enable();
    expect(await get(made)).toEqual([5_001_000, 1]);
  });

  test('a reset of the machine forgets it', async () => {
    const made = await started(way);
    await set(made, 5_000_000);
    const driver = new NvmeDriver(await made.slot.reset());
    await driver.enable();
    expect(await get({ driver })).toEqual([0, 0]);
  });

  test('capabilities have no data, and data has to be somewhere', async () => {
    const { driver } = await started(way);
    expect(await driver.getFeature(0x0e | (3 << 8))).toBe(0b100);
    const nowhere = { cdw10: 0x0e, prp1: 0xdead_0000 };
    for (const opcode of [AdminOpcode.setFeatures, AdminOpcode.getFeatures]) {
      expect((await driver.submit(driver.admin, { opcode, ...nowhere })).status).toBe(Status.dataTransferError);
    }
    // ONCS says that there is the feature.
    expect((await driver.identifyController()).oncs & (1 << 6)).not.toBe(0);
  });
});

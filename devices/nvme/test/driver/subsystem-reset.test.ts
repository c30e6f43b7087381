import { AdminOpcode, NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { askForStart } from '../resets.ts';
import { machine, pattern, started, ways } from './machine.ts';

/** "NVMe", written to NSSR. */
const key = 0x4e56_4d65;
const ready = 1;
const failed = 1 << 1;
/** CSTS.NSSRO. */
const occurred = 1 << 4;
const blocks = { blockBytes: 512 };

describe.each(ways)('NVM subsystem reset (NSSR), %s memory', (way) => {
  test('is offered (CAP.NSSRS), reads zero, and wants its key', async () => {
    const { driver, handle } = await started(way);
    const cap = new Uint8Array(8);
    handle.bar(0).read(0, cap, 0, 8);
    expect((cap[4]! >>> 4) & 1).toBe(1);
    for (const wrong of [0, 1, key ^ 1, 0x654d_564e, 0xffff_ffff]) driver.registers.nssr = wrong;
    expect([driver.registers.nssr, driver.registers.csts.value]).toEqual([0, ready]);
    await driver.identifyController();
  });

  test('resets what a controller reset does, and AQA, ASQ and ACQ as well', async () => {
    const { driver, controller, queue, settle } = await started(way);
    driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    await driver.setFeature(1, 3);
    await driver.write(queue, 1, 0, pattern(512), blocks);
    await settle();
    driver.registers.nssr = key;
    expect([driver.registers.csts.value, driver.registers.cc.value, driver.registers.nssr]).toEqual([occurred, 0, 0]);
    expect([driver.registers.aqa, driver.registers.asq, driver.registers.acq]).toEqual([0, 0, 0]);
    // The function is as it was: PCI's registers are not the subsystem's here.
    expect(controller.host.busMaster).toBe(true);
    await driver.enable();
    expect(driver.registers.csts.value).toBe(occurred | ready);
    expect(await driver.getFeature(1)).toBe(7);
    expect(driver.admin.strays).toEqual([]);
    const again = await driver.createQueues(1);
    expect(await driver.read(again, 1, 0, 512, blocks)).toEqual(pattern(512));
  });

  test('CSTS.NSSRO stays until it is cleared by a one', async () => {
    const { driver, handle } = await started(way);
    driver.registers.nssr = key;
    await driver.enable();
    await driver.disable();
    expect(driver.registers.csts.value).toBe(occurred);
    handle.functionLevelReset();
    expect(driver.registers.csts.value).toBe(occurred);
    driver.registers.csts.value = occurred;
    expect(driver.registers.csts.value).toBe(0);
  });

  test('a reset of the machine clears it', async () => {
    const { driver, slot } = await started(way);
    driver.registers.nssr = key;
    expect(new NvmeDriver(await slot.reset()).registers.csts.value).toBe(0);
  });

  test('with commands in flight: RDY falls when the last has ended, and none is answered', async () => {
    const { driver, drive, queue, settle, ram, controller } = await started(way);
    drive.stalled = true;
    for (let count = 0; count < 4; count++) queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    driver.registers.nssr = key;
    await settle();
    expect(driver.registers.csts.value).toBe(occurred | ready);
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(occurred);
    expect([queue.reap(), controller.inFlight]).toEqual([0, 0]);
    await driver.enable();
    await driver.createQueues(1);
  });

  test('started again before they have ended: ready after that', async () => {
    const { driver, drive, queue, settle, ram } = await started(way);
    drive.stalled = true;
    queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    driver.registers.nssr = key;
    driver.registers.aqa = 0x001f_001f;
    askForStart({ driver, ram });
    await settle();
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(occurred | ready);
    await driver.enable();
  });

  test('of a controller that has failed', async () => {
    const { driver } = await machine(way);
    driver.registers.cc.value = 1;
    expect(driver.registers.csts.value).toBe(failed);
    driver.registers.nssr = key;
    expect(driver.registers.csts.value).toBe(occurred);
    await driver.enable();
  });

  test('of one that is disabled, and again and again', async () => {
    const { driver } = await machine(way);
    for (let count = 0; count < 3; count++) {
      driver.registers.nssr = key;
      expect(driver.registers.csts.value).toBe(occurred);
    }
    await driver.enable();
  });

  test('in the middle of a shutdown', async () => {
    const { driver, drive, settle } = await started(way);
    drive.stalled = true;
    driver.registers.cc.shn = 1;
    await settle();
    driver.registers.nssr = key;
    await settle();
    expect(driver.registers.csts.value).toBe(occurred | ready);
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(occurred);
    await driver.enable();
  });

  test('the error log, the SMART counters and the time that the host has set stay', async () => {
    const { driver } = await started(way);
    await expect(driver.getFeature(0xff)).rejects.toThrow('0h/2h');
    const timestamp = { opcode: AdminOpcode.setFeatures, cdw10: 0x0e };
    await driver.transferOut(driver.admin, timestamp, Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 0));
    const before = await driver.logPage(2, 512);
    driver.registers.nssr = key;
    await driver.enable();
    expect((await driver.logPage(1, 64))[0]).toBe(1);
    // Power was not lost.
    const smart = await driver.logPage(2, 512);
    expect([smart[112], smart[144]]).toEqual([before[112], before[144]]);
    const read = { opcode: AdminOpcode.getFeatures, cdw10: 0x0e };
    expect(await driver.transferIn(driver.admin, read, 8)).toEqual(Uint8Array.of(0, 0, 1, 0, 0, 0, 2, 0));
  });
});

import { AdminOpcode, NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { askForStart, makeBusy, works } from '../resets.ts';
import { machine, started, type Way, ways } from './machine.ts';

const read = { opcode: 2, nsid: 1 };

/** Reads that are at the drive, of two queues, and one not fetched yet. */
const busy = async (way: Way) => makeBusy(await started(way));

describe.each(ways)('resets with commands in flight, %s memory', (way) => {
  test('CC.EN: RDY falls only when the last of them has ended, and none is answered', async () => {
    const made = await busy(way);
    const { driver, drive, queue, second, settle, controller } = made;
    driver.registers.cc.value = 0;
    await settle();
    expect(driver.registers.csts.value).toBe(1);
    // Not even another start makes it otherwise.
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    await settle();
    expect(driver.registers.csts.value & 1).toBe(1);
    driver.registers.cc.value = 0;
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(0);
    expect(controller.inFlight).toBe(0);
    expect(queue.reap() + second.reap()).toBe(0);
    await works(made);
  });

  test('CC.EN to 0 and at once to 1: ready again when the requests have ended', async () => {
    const made = await busy(way);
    const { driver, drive, settle, ram } = made;
    driver.registers.cc.value = 0;
    askForStart({ driver, ram });
    await settle();
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(1);
    await works(made);
  });

  test.each(['CC.EN', 'NSSR', 'Function Level Reset', 'machine reset'] as const)('%s at any moment', async (level) => {
    const { slot, drive, ram, settle, pass, controller, ...made } = await started(way);
    let { driver } = made;
    const { asyncEventRequest, deleteSubmissionQueue, identify } = AdminOpcode;
    const reset = {
      'CC.EN': () => {
        driver.registers.cc.value = 0;
      },
      NSSR: () => {
        driver.registers.nssr = 0x4e56_4d65;
      },
      'Function Level Reset': () => slot.function.functionLevelReset(),
      'machine reset': async () => {
        driver = new NvmeDriver(await slot.reset());
      },
    };
    const prp1 = ram.allocate(0x4000);
    for (let round = 0; round < 12; round++) {
      slot.function.setBusMaster(true);
      await driver.enable();
      const queue = await driver.createQueues(1);
      drive.stalled = true;
      for (let index = 0; index < 10; index++) queue.push({ ...read, prp1 });
      queue.ring();
      // One that waits for events, one for the commands of the queue, and one that is on its way.
      driver.admin.submit({ opcode: asyncEventRequest });
      driver.admin.submit({ opcode: deleteSubmissionQueue, cdw10: 1 });
      driver.admin.submit({ opcode: identify, cdw10: 1, prp1 });
      pass(round * 3);
      // Levels that answer when all has ended find a drive that goes on.
      drive.stalled = level === 'CC.EN' || level === 'NSSR';
      await reset[level]();
      drive.stalled = false;
      await settle();
      expect(driver.registers.csts.rdy).toBe(0);
      expect(controller.inFlight).toBe(0);
      const before = ram.load(prp1, 0x4000);
      await settle();
      expect(ram.load(prp1, 0x4000)).toEqual(before);
      ram.store(queue.cqIova, new Uint8Array(64 * 16));
    }
    slot.function.setBusMaster(true);
    await works({ driver, drive });
  });

  test('over and over', async () => {
    const made = await started(way);
    const { driver, drive, ram, controller } = made;
    const prp1 = ram.allocate(4096);
    for (let round = 0; round < 20; round++) {
      await driver.enable();
      const queue = await driver.createQueues(1);
      drive.stalled = round % 2 === 0;
      for (let index = 0; index < 10; index++) queue.submit({ ...read, prp1 });
      made.pass(round);
      driver.registers.cc.value = 0;
      drive.stalled = false;
    }
    await works(made);
    await made.settle();
    expect(controller.inFlight).toBe(0);
  });

  test('a controller that has failed to start, and is being shut down: no trace of the failure once it is not enabled', async () => {
    const made = await machine(way);
    const { driver, drive, settle } = made;
    drive.stalled = true;
    // AQA is zeroes, and SHN asks for a shutdown, whose flush takes its time.
    driver.registers.cc.value = (4 << 20) | (6 << 16) | (2 << 14) | 1;
    await settle();
    expect(driver.registers.csts.cfs).toBe(1);
    driver.registers.cc.value = 0;
    // SeaBIOS gives up when it finds CFS while it waits for RDY.
    expect(driver.registers.csts.value).toBe(0);
    drive.stalled = false;
    await works(made);
  });

  test('a shutdown that is asked for while a start waits: ready, and shut down', async () => {
    const made = await busy(way);
    const { driver, drive, settle, ram } = made;
    driver.registers.cc.value = 0;
    askForStart({ driver, ram });
    driver.registers.cc.shn = 1;
    await settle();
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe((2 << 2) | 1);
    expect(made.controller.running).toBe(false);
    await works(made);
  });
});

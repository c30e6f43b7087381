import { Command } from '@sidecard/core';
import { AdminOpcode, GuestRam, NvmeDriver, PciBus, VfioUserClient, VfioUserPort } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { type Machine, machine, pattern, started, ways } from './machine.ts';

const read = { opcode: 2, nsid: 1 };

/** Reads that are at the drive, of two queues, and one not fetched yet. */
async function busy(way: 'mapped' | 'messages') {
  const made = await started(way);
  const { driver, drive, queue, settle, ram } = made;
  const second = await driver.createQueues(2);
  const target = ram.allocate(0x8000);
  drive.bytes.set(pattern(1 << 20));
  drive.stalled = true;
  for (let index = 0; index < 4; index++) {
    for (const one of [queue, second]) one.submit({ ...read, prp1: target + index * 4096 });
  }
  settle();
  return { ...made, second, target };
}

/** A Function Level Reset whose answer nobody waits for: it comes when the requests have ended. */
function postedReset({ client, handle }: Machine): void {
  client.regionWrite(7, handle.find(0x10)! + 8, Uint8Array.of(0, 0x80), true);
}

/** The device works as if nothing had been. */
async function works({ driver, drive }: Machine): Promise<void> {
  await driver.enable();
  const queue = await driver.createQueues(1);
  const data = pattern(4096, 9);
  await driver.write(queue, 1, 64, data, { blockBytes: 512 });
  expect(drive.bytes.subarray(64 * 512, 64 * 512 + 4096)).toEqual(data);
  expect(await driver.read(queue, 1, 64, 4096, { blockBytes: 512 })).toEqual(data);
}

describe.each(ways)('resets with commands in flight, %s memory', (way) => {
  test('CC.EN: RDY falls only when the last of them has ended, and none is answered', async () => {
    const made = await busy(way);
    const { driver, drive, queue, second, settle, controller } = made;
    driver.registers.cc.value = 0;
    settle();
    expect(driver.registers.csts.value).toBe(1);
    // Not even another start makes it otherwise.
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    settle();
    expect(driver.registers.csts.value & 1).toBe(1);
    driver.registers.cc.value = 0;
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.value).toBe(0);
    expect(controller.inFlight).toBe(0);
    expect(queue.reap() + second.reap()).toBe(0);
    await works(made);
  });

  test('Function Level Reset', async () => {
    const made = await busy(way);
    const { handle, driver, drive, queue, second, settle } = made;
    postedReset(made);
    settle();
    expect(driver.registers.csts.rdy).toBe(0);
    expect(driver.registers.aqa).toBe(0);
    drive.stalled = false;
    settle(1000);
    expect(queue.reap() + second.reap()).toBe(0);
    handle.setBusMaster(true);
    await works(made);
  });

  test('started while requests of before a reset are at the drive: ready when they have ended', async () => {
    const made = await busy(way);
    const { handle, driver, drive, settle, ram } = made;
    postedReset(made);
    handle.setBusMaster(true);
    driver.registers.aqa = 0x001f_001f;
    driver.registers.asq = ram.allocate(4096);
    driver.registers.acq = ram.allocate(4096);
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    settle();
    expect(driver.registers.csts.rdy).toBe(0);
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.rdy).toBe(1);
    await works(made);
  });

  test('CC.EN to 0 and at once to 1: ready again when the requests have ended', async () => {
    const made = await busy(way);
    const { driver, drive, settle, ram } = made;
    driver.registers.cc.value = 0;
    driver.registers.asq = ram.allocate(4096);
    driver.registers.acq = ram.allocate(4096);
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    settle();
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.value).toBe(1);
    await works(made);
  });

  test('a reset that takes too long: the device has failed, until the requests have ended and it is started again', async () => {
    const made = await busy(way);
    const { driver, drive, settle, server, handle } = made;
    const id = made.client.wire.send(Command.deviceReset);
    settle();
    server.clock.advance(4500);
    settle();
    expect(made.client.wire.reply(id).error).not.toBe(0);
    expect(driver.registers.csts.value).toBe(2);
    handle.setBusMaster(true);
    driver.registers.aqa = 0x001f_001f;
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    settle();
    expect(driver.registers.csts.rdy).toBe(0);
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.value).toBe(1);
    await works(made);
  });

  test('a client that goes: the next one starts clean', async () => {
    const made = await busy(way);
    const { native, client, drive, server, controller, log } = made;
    client.close();
    server.settle();
    const next = new VfioUserClient(server.connect()!);
    next.version();
    const ram = way === 'mapped' ? GuestRam.shared(native) : GuestRam.private();
    next.mapRam(ram);
    const port = new VfioUserPort(native, next, ram);
    const driver = new NvmeDriver(new PciBus().add(port));
    // What was in flight is still at the drive: not ready until it has ended.
    driver.registers.cc.value = 0;
    expect(driver.registers.csts.rdy).toBe(1);
    drive.stalled = false;
    await works({ ...made, driver });
    for (let turn = 0; turn < 200; turn++) port.turn();
    expect(controller.inFlight).toBe(0);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test.each(['CC.EN', 'NSSR', 'Function Level Reset', 'DEVICE_RESET'] as const)('%s at any moment', async (level) => {
    const made = await started(way);
    const { driver, drive, ram, client, handle, settle, controller } = made;
    const { asyncEventRequest, deleteSubmissionQueue, identify } = AdminOpcode;
    const reset = {
      'CC.EN': () => {
        driver.registers.cc.value = 0;
      },
      NSSR: () => {
        driver.registers.nssr = 0x4e56_4d65;
      },
      'Function Level Reset': () => handle.functionLevelReset(),
      DEVICE_RESET: () => client.reset(),
    };
    const prp1 = ram.allocate(0x4000);
    for (let round = 0; round < 12; round++) {
      handle.setBusMaster(true);
      await driver.enable();
      const queue = await driver.createQueues(1);
      drive.stalled = true;
      for (let index = 0; index < 10; index++) queue.push({ ...read, prp1 });
      queue.ring();
      // One that waits for events, one for the commands of the queue, and one that is on its way.
      driver.admin.submit({ opcode: asyncEventRequest });
      driver.admin.submit({ opcode: deleteSubmissionQueue, cdw10: 1 });
      driver.admin.submit({ opcode: identify, cdw10: 1, prp1 });
      settle(round * 3);
      // Levels that answer when all has ended find a drive that goes on.
      drive.stalled = level === 'CC.EN' || level === 'NSSR';
      reset[level]();
      drive.stalled = false;
      settle(500);
      expect(driver.registers.csts.rdy).toBe(0);
      expect(controller.inFlight).toBe(0);
      const before = ram.load(prp1, 0x4000);
      settle(100);
      expect(ram.load(prp1, 0x4000)).toEqual(before);
      ram.store(queue.cqIova, new Uint8Array(64 * 16));
    }
    handle.setBusMaster(true);
    await works(made);
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
      for (let turn = 0; turn < round; turn++) made.settle(1);
      driver.registers.cc.value = 0;
      drive.stalled = false;
    }
    await works(made);
    made.settle();
    expect(controller.inFlight).toBe(0);
  });

  test('a controller that has failed to start, and is being shut down: no trace of the failure once it is not enabled', async () => {
    const made = machine(way);
    const { driver, drive, settle } = made;
    drive.stalled = true;
    // AQA is zeroes, and SHN asks for a shutdown, whose flush takes its time.
    driver.registers.cc.value = (4 << 20) | (6 << 16) | (2 << 14) | 1;
    settle();
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
    driver.registers.asq = ram.allocate(4096);
    driver.registers.acq = ram.allocate(4096);
    driver.registers.cc.value = (4 << 20) | (6 << 16) | 1;
    driver.registers.cc.shn = 1;
    settle();
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.value).toBe((2 << 2) | 1);
    expect(made.controller.running).toBe(false);
    await works(made);
  });
});

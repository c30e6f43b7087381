import { Command } from '@sidecard/core';
import { GuestRam, NvmeDriver, PciBus, VfioUserClient, VfioUserPort } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { type Machine, started, type Way, ways } from './machine.ts';
import { askForStart, makeBusy, works } from './resets.ts';

/** Reads that are at the drive, of two queues, and one not fetched yet. */
const busy = async (way: Way) => makeBusy(await started(way));

/** A Function Level Reset whose answer nobody waits for: it comes when the requests have ended. */
function postedReset({ client, handle }: Machine): void {
  client.regionWrite(7, handle.find(0x10)! + 8, Uint8Array.of(0, 0x80), true);
}

describe.each(ways)('resets whose answer the client does not wait for, %s memory', (way) => {
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
    askForStart({ driver, ram });
    settle();
    expect(driver.registers.csts.rdy).toBe(0);
    drive.stalled = false;
    settle(1000);
    expect(driver.registers.csts.rdy).toBe(1);
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
});

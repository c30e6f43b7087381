import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { started, ways } from './machine.ts';

const request = { opcode: AdminOpcode.asyncEventRequest };

describe.each(ways)('Asynchronous Event Request and Abort, %s memory', (way) => {
  test('doorbells that are wrong: one event, until the log page is read', async () => {
    const { driver, queue, settle } = await started(way);
    const { admin } = driver;
    const cids = [admin.submit(request), admin.submit(request)];
    settle();
    expect(cids.map((cid) => admin.poll(cid))).toEqual([null, null]);
    driver.trapped.tail(1, queue.entries);
    const event = await admin.completion(cids[0]!);
    expect(event.dw0).toBe((1 << 16) | (1 << 8)); // log page 01h, invalid doorbell write value, error
    driver.trapped.tail(9, 1);
    settle();
    expect(admin.poll(cids[1]!)).toBeNull();
    const log = await driver.logPage(1, 128);
    expect(new DataView(log.buffer).getUint32(64, true)).toBe(1);
    expect((await admin.completion(cids[1]!)).dw0).toBe(1 << 16); // invalid doorbell register
    // The controller goes on.
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
  });

  test('an event waits for a request', async () => {
    const { driver, settle } = await started(way);
    driver.trapped.head(1, 5); // nothing was posted
    settle();
    const event = await driver.adminCommand(request);
    expect(event.dw0).toBe((1 << 16) | (1 << 8));
  });

  test('retained when the log page is read with RAE', async () => {
    const { driver, settle } = await started(way);
    driver.trapped.tail(9, 1);
    await driver.adminCommand(request);
    driver.trapped.tail(9, 1);
    const cid = driver.admin.submit(request);
    const prp1 = driver.ram.allocate(4096);
    const log = { opcode: AdminOpcode.getLogPage, prp1, nsid: 0xffff_ffff, cdw10: 1 | (1 << 15) | (15 << 16) };
    await driver.adminCommand(log);
    settle();
    expect(driver.admin.poll(cid)).toBeNull();
    await driver.adminCommand({ ...log, cdw10: 1 | (15 << 16) });
    expect((await driver.admin.completion(cid)).dw0).toBe(1 << 16);
  });

  test('four at most', async () => {
    const { driver, settle } = await started(way);
    const cids = Array.from({ length: 4 }, () => driver.admin.submit(request));
    settle();
    expect((await driver.submit(driver.admin, request)).status).toBe(Status.asyncEventLimitExceeded);
    settle();
    expect(cids.map((cid) => driver.admin.poll(cid))).toEqual([null, null, null, null]);
    // A reset takes them back without an answer, and there is room for four again.
    await driver.enable();
    Array.from({ length: 4 }, () => driver.admin.submit(request));
    await driver.identifyController();
    expect(driver.admin.strays).toEqual([]);
  });

  test('Abort takes back an event request', async () => {
    const { driver } = await started(way);
    const cid = driver.admin.submit(request);
    const abort = await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: cid << 16 });
    expect(abort.dw0).toBe(0);
    expect((await driver.admin.completion(cid)).status).toBe(Status.abortRequested);
  });

  test('Abort of what is at the drive, or not there, says that it did not', async () => {
    const { driver, queue, drive, settle, ram } = await started(way);
    drive.stalled = true;
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    settle();
    expect((await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: (cid << 16) | 1 })).dw0).toBe(1);
    expect((await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: (999 << 16) | 1 })).dw0).toBe(1);
    expect((await driver.submit(driver.admin, { opcode: AdminOpcode.abort, cdw10: 7 })).status).toBe(
      Status.invalidField,
    );
    drive.stalled = false;
    expect((await queue.completion(cid)).status).toBe(Status.success);
  });
});

import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { type Machine, started, ways } from './machine.ts';

const request = { opcode: AdminOpcode.asyncEventRequest };
/** Dword 0 of a completion: log page, information, type. */
const event = (page: number, information: number, type: number) => (page << 16) | (information << 8) | type;
const wrongRegister = event(1, 0, 0);
const wrongValue = event(1, 1, 0);
const unreliable = event(2, 0, 1);
const hot = event(2, 1, 1);
const warnings = { temperature: 1 << 1, reliability: 1 << 2 } as const;

/** Reads a log page, with Retain Asynchronous Event or without. */
async function readLog({ driver }: Pick<Machine, 'driver'>, page: number, retain = false): Promise<void> {
  const prp1 = driver.ram.allocate(4096);
  const cdw10 = page | (retain ? 1 << 15 : 0) | (15 << 16);
  await driver.adminCommand({ opcode: AdminOpcode.getLogPage, nsid: 0xffff_ffff, prp1, cdw10 });
  driver.ram.free(prp1);
}

describe.each(ways)('Asynchronous Event Request, %s memory', (way) => {
  test('doorbells that are wrong: one event, until the log page is read', async () => {
    const made = await started(way);
    const { driver, queue, settle } = made;
    const { admin } = driver;
    const cids = [admin.submit(request), admin.submit(request)];
    await settle();
    expect(cids.map((cid) => admin.poll(cid))).toEqual([null, null]);
    driver.trapped.tail(1, queue.entries);
    expect((await admin.completion(cids[0]!)).dw0).toBe(wrongValue);
    driver.trapped.tail(9, 1);
    await settle();
    expect(admin.poll(cids[1]!)).toBeNull();
    await readLog(made, 1);
    expect((await admin.completion(cids[1]!)).dw0).toBe(wrongRegister);
    // The controller goes on.
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
  });

  test.each([
    ['a tail behind the queue', 'tail', 1, 64, wrongValue],
    ['a tail far behind it', 'tail', 1, 0xffff_ffff, wrongValue],
    ['a head behind the queue', 'head', 1, 64, wrongValue],
    ['a head before which nothing was posted', 'head', 1, 5, wrongValue],
    ['the tail of a queue that is not there', 'tail', 9, 1, wrongRegister],
    ['the head of one', 'head', 9, 1, wrongRegister],
    ['the tail of a queue that cannot be', 'tail', 65, 1, wrongRegister],
    ['the last doorbell of the page', 'head', 511, 0, wrongRegister],
  ] as const)('%s', async (_name, which, id, value, expected) => {
    const { driver, settle } = await started(way);
    driver.trapped[which](id, value);
    await settle();
    // An event waits for a request.
    expect((await driver.adminCommand(request)).dw0).toBe(expected);
  });

  test('types do not mask each other, and each is told once for all alike', async () => {
    const made = await started(way);
    const { driver, drive, queue, settle } = made;
    await driver.setFeature(0x0b, warnings.temperature | warnings.reliability);
    await driver.setFeature(4, 311);
    drive.fail = () => 5; // EIO
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    for (let count = 0; count < 3; count++) driver.trapped.tail(9, 1);
    driver.trapped.tail(1, 64);
    await settle();
    // Those of one type wait for the log page of the one before.
    expect((await driver.adminCommand(request)).dw0).toBe(wrongRegister);
    expect((await driver.adminCommand(request)).dw0).toBe(unreliable);
    const waiting = driver.admin.submit(request);
    await settle();
    expect(driver.admin.poll(waiting)).toBeNull();
    await readLog(made, 1);
    expect((await driver.admin.completion(waiting)).dw0).toBe(wrongValue);
    await readLog(made, 2);
    expect((await driver.adminCommand(request)).dw0).toBe(hot);
  });

  test('feature 0Bh says of which warnings, now and when it is asked', async () => {
    const { driver, settle } = await started(way);
    const cid = driver.admin.submit(request);
    await driver.setFeature(0x0b, warnings.reliability);
    await driver.setFeature(4, 311);
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
    // The condition is true when the notice is enabled: then it comes.
    await driver.setFeature(0x0b, warnings.temperature);
    expect((await driver.admin.completion(cid)).dw0).toBe(hot);
  });

  test('feature 0Bh: what is not wanted any more does not come', async () => {
    const { driver, settle } = await started(way);
    await driver.setFeature(0x0b, warnings.temperature);
    await driver.setFeature(4, 311);
    await driver.setFeature(0x0b, 0);
    const cid = driver.admin.submit(request);
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
  });

  test('feature 0Bh keeps what OAES has and all critical warnings, and nothing else', async () => {
    const { driver } = await started(way);
    await driver.setFeature(0x0b, 0xffff_ffff);
    const { raw } = await driver.identifyController();
    const oaes = new DataView(raw.buffer, raw.byteOffset).getUint32(92, true);
    expect(await driver.getFeature(0x0b)).toBe(oaes | 0x3f);
    expect(oaes).toBe(1 << 8);
  });

  test('retained when the log page is read with RAE', async () => {
    const made = await started(way);
    const { driver, settle } = made;
    driver.trapped.tail(9, 1);
    await driver.adminCommand(request);
    driver.trapped.tail(9, 1);
    const cid = driver.admin.submit(request);
    await readLog(made, 1, true);
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
    await readLog(made, 1);
    expect((await driver.admin.completion(cid)).dw0).toBe(wrongRegister);
  });

  test('cleared by the log page before there is a request: not told any more', async () => {
    const made = await started(way);
    const { driver, settle } = made;
    driver.trapped.tail(9, 1);
    await settle();
    await readLog(made, 1, true);
    await readLog(made, 2);
    const first = driver.admin.submit(request);
    expect((await driver.admin.completion(first)).dw0).toBe(wrongRegister);
    await readLog(made, 1);
    driver.trapped.tail(9, 1);
    await settle();
    await readLog(made, 1);
    const second = driver.admin.submit(request);
    await settle();
    expect(driver.admin.poll(second)).toBeNull();
  });

  test('one that comes while the log page is read is in the page, or told', async () => {
    const { driver, pass, settle, ram } = await started(way);
    const prp1 = ram.allocate(4096);
    for (let turns = 0; turns < (way === 'mapped' ? 2 : 12); turns++) {
      await driver.enable();
      const cdw10 = 1 | (15 << 16);
      const reading = driver.admin.submit({ opcode: AdminOpcode.getLogPage, nsid: 0xffff_ffff, prp1, cdw10 });
      pass(turns);
      driver.trapped.tail(9, 1);
      await driver.admin.completion(reading);
      // The newest entry's number.
      const inPage = ram.load(prp1, 1)[0] === turns + 1;
      const cid = driver.admin.submit(request);
      await settle();
      const told = driver.admin.poll(cid) !== null;
      expect([turns, inPage || told]).toEqual([turns, true]);
    }
  });

  test('four requests at most (AERL), and a reset takes them back without an answer', async () => {
    const { driver, settle } = await started(way);
    const cids = Array.from({ length: 4 }, () => driver.admin.submit(request));
    await settle();
    const { status, doNotRetry } = await driver.submit(driver.admin, request);
    expect([status, doNotRetry]).toEqual([Status.asyncEventLimitExceeded, true]);
    expect(cids.map((cid) => driver.admin.poll(cid))).toEqual([null, null, null, null]);
    expect((await driver.identifyController()).raw[259]).toBe(3);
    await driver.enable();
    Array.from({ length: 4 }, () => driver.admin.submit(request));
    await driver.identifyController();
    expect(driver.admin.strays).toEqual([]);
  });

  test('a reset forgets what was pending and what was masked', async () => {
    const { driver, settle } = await started(way);
    driver.trapped.tail(9, 1);
    driver.trapped.tail(1, 64);
    await settle();
    await driver.adminCommand(request);
    await driver.enable();
    const cid = driver.admin.submit(request);
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
    driver.trapped.tail(9, 1);
    expect((await driver.admin.completion(cid)).dw0).toBe(wrongRegister);
  });

  test('requests do not take room in the completion queue until they end', async () => {
    const { driver } = await started(way, { adminEntries: 3 });
    driver.admin.submit(request);
    for (let count = 0; count < 10; count++) await driver.identifyController();
    driver.trapped.tail(9, 1);
    for (let count = 0; count < 10; count++) await driver.identifyController();
    expect(driver.admin.inFlight).toBe(0);
  });
});

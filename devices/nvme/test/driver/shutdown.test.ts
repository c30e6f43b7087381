import { AdminOpcode, until } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { pattern, started, ways } from './machine.ts';

const enabled = (4 << 20) | (6 << 16) | 1;
/** CSTS: RDY, CFS, and SHST with a shutdown under way or complete. */
const Csts = { ready: 1, failed: 1 << 1, shuttingDown: 1 << 2, shutDown: 2 << 2 } as const;

describe.each(ways)('shutdown (CC.SHN, CSTS.SHST), %s memory', (way) => {
  test.each([1, 2])('normal and abrupt (SHN %i): complete when everything is durable', async (shn) => {
    const { driver, queue, drive, settle } = await started(way);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    drive.stalled = true;
    driver.registers.cc.shn = shn;
    await settle();
    expect(driver.registers.csts.shst).toBe(1);
    expect(drive.seen.at(-1)).toMatchObject({ operation: 'flush' });
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    // Nothing is fetched any more.
    queue.submit({ opcode: 2, nsid: 1, prp1: queue.sqIova });
    await settle();
    expect(queue.reap()).toBe(0);
    await driver.enable();
    expect(driver.registers.csts.value).toBe(1);
  });

  test('shutdown asks a drive that has stalled again, until it is durable', async () => {
    const { driver, drive, handle, settle } = await started(way);
    drive.fail = () => 110;
    drive.slow = true;
    driver.registers.cc.shn = 1;
    await until(handle.port, () => drive.seen.length > 2, 'the drive to be asked again');
    expect(driver.registers.csts.shst).toBe(1);
    drive.fail = () => 0;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
  });

  test('shutdown waits for commands in flight', async () => {
    const { driver, queue, drive, settle } = await started(way);
    drive.stalled = true;
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: driver.ram.allocate(4096) });
    await settle();
    driver.registers.cc.shn = 1;
    await settle();
    expect(driver.registers.csts.shst).toBe(1);
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['read']);
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    expect(queue.poll(cid)?.status).toBe(0);
  });

  test('disabled with SHN left as it was, as OVMF does: the next start is shut down by a flush again', async () => {
    const { driver, drive, settle } = await started(way);
    driver.registers.cc.shn = 1;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    driver.registers.cc.en = 0;
    await settle();
    expect(driver.registers.csts.value).toBe(0);
    driver.registers.cc.value = enabled;
    await settle();
    expect(driver.registers.csts.value).toBe(1);
    const flushes = drive.seen.length;
    driver.registers.cc.shn = 1;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    expect(drive.seen.slice(flushes).map(({ operation }) => operation)).toEqual(['flush']);
  });

  test('shut down while disabled, then started: ready, and not shut down', async () => {
    const { driver, settle } = await started(way);
    await driver.disable();
    driver.registers.cc.shn = 2;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    driver.registers.cc.value = enabled;
    await settle();
    expect(driver.registers.csts.value).toBe(1);
  });

  test('a shutdown that is asked for while a reset waits for I/O still completes', async () => {
    const { driver, queue, drive, settle } = await started(way);
    drive.stalled = true;
    queue.submit({ opcode: 2, nsid: 1, prp1: driver.ram.allocate(4096) });
    await settle();
    driver.registers.cc.en = 0;
    driver.registers.cc.shn = 1;
    await settle();
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(2 << 2);
  });

  test('asked for twice, and in the other way meanwhile: one shutdown', async () => {
    const { driver, drive, settle } = await started(way);
    drive.stalled = true;
    driver.registers.cc.shn = 1;
    await settle();
    driver.registers.cc.shn = 2;
    driver.registers.cc.shn = 1;
    await settle();
    drive.stalled = false;
    await settle();
    expect(driver.registers.csts.value).toBe(Csts.ready | Csts.shutDown);
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['flush']);
  });

  test('the reserved SHN 11b asks for nothing', async () => {
    const { driver, drive, settle } = await started(way);
    driver.registers.cc.shn = 3;
    await settle();
    expect(driver.registers.csts.value).toBe(Csts.ready);
    expect(drive.seen).toEqual([]);
    await driver.identifyController();
  });

  test('of a controller that has failed: what was acknowledged is made durable all the same', async () => {
    const { driver, drive, settle } = await started(way);
    // Its commands are where no memory is.
    const nowhere = { opcode: AdminOpcode.createSubmissionQueue, prp1: 2 ** 45, cdw10: (15 << 16) | 2 };
    await driver.adminCommand({ ...nowhere, cdw11: (1 << 16) | 1 });
    driver.trapped.tail(2, 1);
    await settle();
    expect(driver.registers.csts.value).toBe(Csts.ready | Csts.failed);
    driver.registers.cc.shn = 2;
    await settle();
    expect(driver.registers.csts.value).toBe(Csts.ready | Csts.failed | Csts.shutDown);
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['flush']);
    await driver.enable();
  });

  test('a flush that fails: complete, and the failure is remembered', async () => {
    const { driver, drive, settle } = await started(way);
    drive.fail = () => 5; // EIO
    driver.registers.cc.shn = 1;
    await settle();
    expect(driver.registers.csts.shst).toBe(2);
    await driver.enable();
    expect((await driver.logPage(2, 512))[0]).toBe(1 << 2); // reliability is degraded
  });
});

import { type Limits, unlimited } from '@sidecard/block';
import { AdminOpcode, NvmeDriver, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { type Machine, pattern, started, type Way, ways } from './machine.ts';

const blocks = { blockBytes: 512 };
/** A block in 8 minutes: what waits does so to the end of the test, whatever the clock. */
const slow: Limits = { iops: null, bytesPerSecond: 1 };

function limit({ controller }: Pick<Machine, 'controller'>, limits: Limits): void {
  controller.namespaces.allocated(1)!.setLimits(limits);
}
const waiting = ({ controller }: Pick<Machine, 'controller'>) => controller.namespaces.allocated(1)!.limiter.waiting;

/** A machine where one read has taken all there is for long, and five more wait. */
async function waits(way: Way) {
  const made = await started(way);
  limit(made, slow);
  const { driver, queue, ram, drive } = made;
  await driver.read(queue, 1, 0, 512, blocks);
  const target = ram.allocate(4096);
  const cids = Array.from({ length: 5 }, () => queue.submit({ opcode: NvmOpcode.read, nsid: 1, prp1: target }));
  await made.settle();
  expect(waiting(made)).toBe(5);
  return { ...made, cids, seen: drive.seen.length };
}

/** Nothing of what waited is left, and nothing of it has come to the drive. */
function expectGone(made: Machine & { seen: number }, flushes = 0): void {
  const { controller, drive, seen } = made;
  expect([waiting(made), controller.inFlight, controller.processor.waitingRoom.count]).toEqual([0, 0, 0]);
  expect(drive.seen.length).toBe(seen + flushes);
}

describe.each(ways)('commands that wait for the limits of their drive, %s memory', (way) => {
  test('keep no flush and no mistake waiting, and all go when the limits are lifted', async () => {
    const made = await waits(way);
    const { driver, queue, cids, drive } = made;
    await driver.flush(queue, 1);
    expect(drive.seen.at(-1)!.operation).toBe('flush');
    for (const mistake of ['read', 'writeZeroes', 'verify'] as const) {
      await expect(driver[mistake](queue, 1, 1 << 30, 512, blocks)).rejects.toThrow('0h/80h');
    }
    await expect(driver.read(queue, 9, 0, 512, blocks)).rejects.toThrow('0h/2h');
    expect(waiting(made)).toBe(5);
    limit(made, unlimited);
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(Status.success);
  });

  test('are aborted by Abort', async () => {
    const made = await waits(way);
    const { driver, queue, cids } = made;
    for (const cid of cids) {
      const abort = { opcode: AdminOpcode.abort, cdw10: (cid << 16) | 1 };
      expect((await driver.adminCommand(abort)).dw0).toBe(0);
      expect(await queue.completion(cid)).toMatchObject({ status: Status.abortRequested, doNotRetry: false });
      expect((await driver.adminCommand(abort)).dw0).toBe(1);
    }
    await made.settle();
    expectGone(made);
  });

  test('are aborted with their queue', async () => {
    const made = await waits(way);
    const { driver, queue, cids } = made;
    await driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 });
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(Status.abortedSqDeletion);
    await made.settle();
    expectGone(made);
  });

  test.each(['CC.EN', 'NSSR', 'Function Level Reset', 'a reset of the machine'] as const)(
    'are forgotten by %s',
    async (level) => {
      const made = await waits(way);
      const { handle, queue, drive, slot } = made;
      let { driver } = made;
      if (level === 'CC.EN') driver.registers.cc.value = 0;
      else if (level === 'NSSR') driver.registers.nssr = 0x4e56_4d65;
      else if (level === 'Function Level Reset') handle.functionLevelReset();
      else driver = new NvmeDriver(await slot.reset());
      await made.settle();
      expect(driver.registers.csts.rdy).toBe(0);
      expectGone(made);
      expect(queue.reap()).toBe(0);
      limit(made, unlimited);
      if (level === 'Function Level Reset') handle.setBusMaster(true);
      await driver.enable();
      const data = pattern(4096, 9);
      await driver.write(await driver.createQueues(1), 1, 64, data, blocks);
      expect(drive.bytes.subarray(64 * 512, 64 * 512 + 4096)).toEqual(data);
    },
  );

  test('keep no shutdown waiting, and no format', async () => {
    const made = await waits(way);
    const { driver, queue, cids } = made;
    await driver.adminCommand({ opcode: AdminOpcode.formatNvm, nsid: 1, cdw10: 0 });
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(Status.formatInProgress);
    queue.submit({ opcode: NvmOpcode.read, nsid: 1, prp1: made.ram.allocate(4096) });
    await made.settle();
    const seen = made.drive.seen.length;
    await driver.shutdown();
    await driver.disable();
    await made.settle();
    expectGone({ ...made, seen }, 1);
  });
});

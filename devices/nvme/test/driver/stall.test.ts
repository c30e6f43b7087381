import { TimedBackend } from '@sidecard/block';
import { NvmOpcode, type QueuePair } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { type Machine, type MachineOptions, pattern, started, ways } from './machine.ts';

const limitMs = 25_000;
/** A drive with on-stall=error (storage.md, Stalls): Linux waits 30 s for a command, then resets the controller, then gives it up. */
const impatient: MachineOptions = { wrap: (drive, host) => new TimedBackend(drive, limitMs, host) };

/** Lets a command wait for as long as the drive may take. */
async function late({ slot, settle }: Machine): Promise<void> {
  await settle();
  slot.clock.advance(limitMs);
  await settle();
}

function submit(queue: QueuePair, opcode: number, iova: number, slba = 0): number {
  return queue.submit({ opcode, nsid: 1, prp1: iova, cdw10: slba, cdw12: 0 });
}

describe.each(ways)('a drive that stalls, %s memory', (way) => {
  test('reads, writes and flushes end in time, and may be tried again', async () => {
    const machine = await started(way, impatient);
    const { driver, queue, drive, ram } = machine;
    drive.stalled = true;
    const iova = ram.allocate(4096);
    const cids = [NvmOpcode.read, NvmOpcode.write, NvmOpcode.flush].map((opcode) => submit(queue, opcode, iova));
    await machine.settle();
    expect(cids.map((cid) => queue.poll(cid))).toEqual([null, null, null]);
    await late(machine);
    for (const cid of cids) {
      expect(queue.poll(cid)).toMatchObject({ status: Status.namespaceNotReady, doNotRetry: false });
    }
    drive.stalled = false;
    await machine.settle();
    const data = pattern(512);
    await driver.write(queue, 1, 0, data, { blockBytes: 512, fua: true });
    expect(await driver.read(queue, 1, 0, 512, { blockBytes: 512 })).toEqual(data);
    await driver.flush(queue, 1);
    // No flush has failed, and the media is well.
    const health = await driver.logPage(2, 512);
    expect([health[0], health[160]]).toEqual([0, 0]);
  });

  test('what it answers late is in no memory of the guest, and an old write is not the last', async () => {
    const machine = await started(way, impatient);
    const { driver, queue, drive, ram, settle } = machine;
    await driver.write(queue, 1, 8, pattern(512, 2), { blockBytes: 512 });
    drive.stalled = true;
    const [from, to] = [ram.allocate(4096), ram.allocate(4096)];
    ram.store(from, pattern(512, 3));
    submit(queue, NvmOpcode.write, from);
    submit(queue, NvmOpcode.read, to, 8);
    await late(machine);
    queue.reap();
    // The guest has made something else of this memory, and writes the block again.
    ram.store(to, pattern(512, 4));
    ram.store(from, pattern(512, 5));
    const again = submit(queue, NvmOpcode.write, from);
    await settle();
    drive.stalled = false;
    await settle();
    expect(queue.poll(again)?.status).toBe(Status.success);
    expect(ram.load(to, 512)).toEqual(pattern(512, 4));
    expect(drive.bytes.subarray(0, 512)).toEqual(pattern(512, 5));
  });

  test('Compare and Write that waits for a range behind a write that hangs ends in time too, and writes nothing', async () => {
    const machine = await started(way, impatient);
    const { driver, queue, drive, ram, settle } = machine;
    const iova = ram.allocate(4096);
    ram.store(iova, pattern(512, 6));
    drive.stalled = true;
    submit(queue, NvmOpcode.write, iova);
    await settle();
    const half = (opcode: number, flags: number) =>
      queue.push({ opcode, flags, nsid: 1, prp1: iova, cdw10: 0, cdw12: 0 });
    const pair = [half(NvmOpcode.compare, 1), half(NvmOpcode.write, 2)];
    queue.ring();
    await late(machine);
    expect(pair.map((cid) => queue.poll(cid)?.status)).toEqual([Status.namespaceNotReady, Status.failedFused]);
    drive.stalled = false;
    await settle();
    // The range is anybody's again.
    const data = pattern(512, 7);
    const now = await driver.compareAndWrite(queue, 1, 0, pattern(512, 6), data, { blockBytes: 512 });
    expect(now.map(({ status }) => status)).toEqual([0, 0]);
    expect(drive.bytes.subarray(0, 512)).toEqual(data);
  });

  test('Copy that waits for its destination behind a write that hangs ends in time too', async () => {
    const machine = await started(way, impatient);
    const { driver, queue, drive, ram, settle } = machine;
    await driver.write(queue, 1, 8, pattern(512, 8), { blockBytes: 512 });
    drive.stalled = true;
    submit(queue, NvmOpcode.write, ram.allocate(4096));
    await settle();
    // One range of format 0: a block from 8.
    const ranges = ram.allocate(4096);
    ram.store(ranges, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 8));
    const cid = submit(queue, NvmOpcode.copy, ranges);
    await late(machine);
    expect(queue.poll(cid)).toMatchObject({ status: Status.namespaceNotReady, doNotRetry: false });
    drive.stalled = false;
    await settle();
    const again = submit(queue, NvmOpcode.copy, ranges);
    await settle();
    expect(queue.poll(again)?.status).toBe(Status.success);
    expect(drive.bytes.subarray(0, 512)).toEqual(pattern(512, 8));
  });

  test('a controller that is reset meanwhile is ready again in time', async () => {
    const machine = await started(way, impatient);
    const { driver, queue, drive, ram, settle } = machine;
    drive.stalled = true;
    submit(queue, NvmOpcode.write, ram.allocate(4096));
    await settle();
    driver.registers.cc.value = 0;
    await settle();
    // The command may still read the guest's memory.
    expect(driver.registers.csts.rdy).toBe(1);
    await late(machine);
    expect(driver.registers.csts.rdy).toBe(0);
    await driver.enable();
    const anew = await driver.createQueues(1);
    const waiting = submit(anew, NvmOpcode.read, ram.allocate(4096));
    await late(machine);
    expect(anew.poll(waiting)?.status).toBe(Status.namespaceNotReady);
    drive.stalled = false;
    await settle();
    await driver.flush(anew, 1);
  });
});

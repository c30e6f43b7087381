import { TimedBackend, unlimited } from '@sidecard/block';
import { AdminOpcode, copyCommand, copySources, NvmOpcode, until } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { waitingCommands } from '../src/limits.ts';
import { Status } from '../src/status.ts';
import { aborted, blocks, limit, load, pass, slow, submit, waiting } from './limited.ts';
import { pattern, started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

describe.each(ways)('limits of a drive, %s memory', (way) => {
  test('a guest that asks for more gets as many operations a second as there may be, evenly', async () => {
    const made = await started(way);
    limit(made, { iops: 500, bytesPerSecond: null });
    const counts = await load(made, 512, 2000);
    const sum = counts.reduce((a, b) => a + b);
    expect(sum).toBeGreaterThanOrEqual(980);
    expect(sum).toBeLessThanOrEqual(1020);
    for (const count of counts.slice(1)) expect(Math.abs(count - 50)).toBeLessThanOrEqual(5);
  });

  test('and as many bytes', async () => {
    const made = await started(way);
    limit(made, { iops: null, bytesPerSecond: 1_000_000 });
    const counts = await load(made, 4096, 2000);
    const bytes = counts.reduce((a, b) => a + b) * 4096;
    expect(bytes).toBeGreaterThanOrEqual(1_960_000);
    expect(bytes).toBeLessThanOrEqual(2_040_000);
  });

  test('commands cost what they ask of the drive, and flushes nothing', async () => {
    const made = await started(way, { drives: [new TestDrive(16 << 20)] });
    const { driver, queue, controller, server } = made;
    limit(made, { iops: 1000, bytesPerSecond: 1 << 20 });
    const { limiter } = controller.namespaces.allocated(1)!;
    /** How long the next command would have to wait, ms: what this one has cost. */
    const cost = async (work: () => Promise<unknown>): Promise<number> => {
      pass(made, 100_000);
      let ended = false;
      const working = work().then(() => {
        ended = true;
      });
      const start = server.clock.now();
      for (let turns = 0; turns < 100 || !ended; turns++) {
        if (limiter.waiting > 0) server.clock.advance(1);
        made.settle(10);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await working;
      const target = made.ram.allocate(4096);
      const cid = submit(queue, NvmOpcode.read, target);
      for (made.settle(); queue.poll(cid) === null; made.settle()) server.clock.advance(1);
      await queue.completion(cid);
      made.ram.free(target);
      return server.clock.now() - start;
    };
    const expectCost = async (ms: number, work: () => Promise<unknown>) => {
      // Of it, 10 ms were saved up; the whole milliseconds of timers add some.
      const costMs = await cost(work);
      expect(costMs).toBeGreaterThanOrEqual(ms - 11);
      expect(costMs).toBeLessThanOrEqual(ms + 5);
    };
    const half = pattern(1 << 19);
    await expectCost(500, () => driver.write(queue, 1, 0, half, blocks));
    await expectCost(500, () => driver.read(queue, 1, 0, half.length, blocks));
    await expectCost(500, () => driver.compare(queue, 1, 0, half, blocks));
    await expectCost(500, () => driver.writeZeroes(queue, 1, 0, half.length, blocks));
    await expectCost(4000, () => driver.verify(queue, 1, 0, 4 << 20, blocks));
    await expectCost(4000, () => driver.writeZeroes(queue, 1, 0, 4 << 20, blocks));
    await expectCost(2000, () => driver.copy(queue, 1, 4096, [{ lba: 0, blocks: 2048 }]));
    await expectCost(1000, () => driver.compareAndWrite(queue, 1, 0, new Uint8Array(1 << 19), half, blocks));
    const ranges = Array.from({ length: 200 }, (_, index) => ({ lba: index * 16, blocks: 8 }));
    await expectCost(200, () => driver.deallocate(queue, 1, ranges));
    await expectCost(0, () => driver.flush(queue, 1));
  });

  test('limits that are lifted let all go, in their order; other drives have never waited', async () => {
    const [limited, free] = [new TestDrive(1 << 20), new TestDrive(1 << 20, { seed: 2 })];
    const made = await started(way, { drives: [limited, free] });
    const { driver, queue, ram, settle } = made;
    limit(made, slow);
    const target = ram.allocate(4096);
    const cids: number[] = [];
    for (let index = 0; index < 20; index++) {
      cids.push(submit(queue, NvmOpcode.read, target, index));
      settle(20);
    }
    await driver.write(queue, 2, 0, pattern(512), blocks);
    expect(limited.seen.length).toBe(1);
    limit(made, unlimited);
    settle();
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(0);
    expect(limited.seen.map(({ offset }) => offset / 512)).toEqual(cids.map((_, index) => index));
  });

  test('however many wait for one drive, commands for others find slots', async () => {
    const drives = [new TestDrive(1 << 20), new TestDrive(1 << 20, { seed: 2 })];
    const made = await started(way, { drives });
    const { driver, ram } = made;
    limit(made, slow);
    const deep = await driver.createQueues(2, { entries: 4096 });
    const target = ram.allocate(4096);
    const cids = Array.from({ length: 1500 }, () => deep.push({ opcode: NvmOpcode.read, nsid: 1, prp1: target }));
    deep.ring();
    await driver.write(deep, 2, 0, pattern(512), blocks);
    await driver.write(made.queue, 2, 0, pattern(512), blocks);
    await until(made.handle.port, () => waiting(made) === 1499, 'all to wait');
    const victim = cids.findLast((cid) => deep.poll(cid) === null)!;
    const abort = { opcode: AdminOpcode.abort, cdw10: (victim << 16) | 2 };
    expect((await driver.adminCommand(abort)).dw0).toBe(aborted);
    expect((await deep.completion(victim)).status).toBe(Status.abortRequested);
    pass(made, 1000);
    await driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 2 });
    const others = cids.filter((cid) => cid !== victim);
    const statuses = await Promise.all(others.map(async (cid) => (await deep.completion(cid)).status));
    const count = (status: number) => statuses.filter((one) => one === status).length;
    expect([count(0), count(Status.abortedSqDeletion)]).toEqual([2, 1497]);
    expect([deep.strays, drives[0]!.seen.length]).toEqual([[], 2]);
  });

  test('more than there is room for take slots, and go on like the others', async () => {
    const made = await started(way);
    const { driver, ram, drive } = made;
    limit(made, slow);
    const deep = await driver.createQueues(2, { entries: 4096 });
    const target = ram.allocate(4096);
    const cids = Array.from({ length: 3000 }, () => deep.push({ opcode: NvmOpcode.read, nsid: 1, prp1: target }));
    deep.ring();
    await until(made.handle.port, () => waiting(made) > waitingCommands + 50, 'as many to wait as can');
    // Those that are aborted wait for no limit even so.
    const cdw10 = (cids[way === 'mapped' ? 1000 : cids.findIndex((cid) => deep.poll(cid) === null)]! << 16) | 2;
    expect((await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10 })).dw0).toBe(aborted);
    const victim = cdw10 >>> 16;
    expect((await deep.completion(victim)).status).toBe(Status.abortRequested);
    const others = cids.filter((cid) => cid !== victim);
    deep.reap();
    const before = drive.seen.length;
    for (let turns = 0; turns < 20; turns++) pass(made, 1000);
    expect([deep.reap(), drive.seen.length - before]).toEqual([20, 20]);
    limit(made, unlimited);
    await until(made.handle.port, () => deep.reap() >= 0 && deep.inFlight === 0, 'all to end', 60_000);
    for (const cid of others) expect((await deep.completion(cid)).status).toBe(0);
    made.settle();
    expect([deep.strays, drive.seen.length, made.controller.inFlight]).toEqual([[], 2999, 0]);
  }, 60_000);

  test('what comes first goes first, from whatever queue', async () => {
    const made = await started(way);
    const { driver, queue, drive, ram, settle, server } = made;
    const second = await driver.createQueues(2);
    limit(made, { iops: 10, bytesPerSecond: null });
    const target = ram.allocate(4096);
    for (let index = 0; index < 20; index++) {
      submit(index % 2 === 0 ? queue : second, NvmOpcode.read, target, index);
      settle(20);
    }
    for (let index = 0; index < 20; index++) {
      server.clock.advance(100);
      settle();
    }
    expect(drive.seen.map(({ offset }) => offset / 512)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test('time spent waiting for limits is not the drive’s (on-stall=error)', async () => {
    const made = await started(way, { wrap: (drive, host) => new TimedBackend(drive, 25_000, host) });
    limit(made, { iops: null, bytesPerSecond: 512 });
    const { queue, ram, server, settle } = made;
    const target = ram.allocate(4096);
    const cids = Array.from({ length: 60 }, () => submit(queue, NvmOpcode.write, target));
    for (let seconds = 0; seconds < 100; seconds++) {
      server.clock.advance(1000);
      settle();
    }
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(0);
  }, 20_000);

  test('Copy waits before it has its destination alone, so that writes there wait for no limit', async () => {
    const made = await started(way, { drives: [new TestDrive(4 << 20)] });
    const { driver, queue, controller, settle, ram, server } = made;
    limit(made, { iops: 10, bytesPerSecond: null });
    const sources = [{ lba: 0, blocks: 2048 }];
    const prp1 = ram.allocate(4096);
    ram.store(prp1, copySources(sources));
    const cid = queue.submit({ ...copyCommand(1, 4096, sources), prp1 });
    settle();
    expect(waiting(made)).toBe(1);
    // Format, which takes the drive alone, and a write, both of which would wait for a range.
    expect(controller.namespaces.allocated(1)!.users).toBe(0);
    const write = driver.write(queue, 1, 4096, pattern(512), blocks);
    for (let turns = 0; turns < 10; turns++) {
      server.clock.advance(100);
      settle();
    }
    await write;
    expect((await queue.completion(cid)).status).toBe(0);
  });
});

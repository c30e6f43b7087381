import { unlimited } from '@sidecard/block';
import {
  AdminOpcode,
  attachNamespace,
  copyCommand,
  copySources,
  createNamespace,
  deleteNamespace,
  generator,
  NvmOpcode,
  type QueuePair,
  until,
} from '@sidecard/testing';
import { describe, expect, test, vi } from 'vitest';
import { Command, Phase } from '../src/command/command.ts';
import { waitingColumns } from '../src/command/waiting-room.ts';
import { waitingCommands } from '../src/limits.ts';
import { namespaceColumns } from '../src/namespaces/namespace.ts';
import { Status } from '../src/status.ts';
import { Controlled } from './controlled.ts';
import { aborted, blocks, limit, notAborted, pass, slow, submit, waiting, waits } from './limited.ts';
import { pattern, started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';
import { testPool } from './test-pool.ts';

describe.each(ways)('commands that wait for limits, %s memory', (way) => {
  test('are aborted by Abort, one by one', async () => {
    const made = await waits(way);
    const { driver, queue, cids, drive } = made;
    const abort = async (cid: number) =>
      (await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: (cid << 16) | 1 })).dw0;
    const before = drive.seen.length;
    expect(await abort(cids[2]!)).toBe(aborted);
    expect(await queue.completion(cids[2]!)).toMatchObject({ status: Status.abortRequested, doNotRetry: false });
    expect(await abort(cids[2]!)).toBe(notAborted);
    expect(drive.seen.length).toBe(before);
    pass(made, 1000);
    expect(await abort(cids[0]!)).toBe(notAborted);
    expect(queue.poll(cids[0]!)?.status).toBe(0);
    for (let seconds = 0; seconds < 5; seconds++) pass(made, 1000);
    for (const index of [1, 3, 4]) expect(queue.poll(cids[index]!)?.status).toBe(0);
    expect(queue.strays).toEqual([]);
  });

  /** A fused pair of which the first half has paid for itself. */
  async function pair() {
    const made = await started(way);
    const { queue, ram, settle } = made;
    limit(made, slow);
    const prp1 = ram.allocate(4096);
    const cids = [NvmOpcode.compare, NvmOpcode.write].map((opcode, index) =>
      queue.push({ opcode, flags: index + 1, nsid: 1, prp1 }),
    );
    queue.ring();
    settle();
    expect(waiting(made)).toBe(1);
    return { ...made, cids };
  }
  const statusesOf = (queue: QueuePair, cids: readonly number[]) =>
    Promise.all(cids.map(async (cid) => (await queue.completion(cid)).status));

  test.each([0, 1])('half %i of a fused operation too, with the other half', async (half) => {
    const made = await pair();
    const { driver, queue, drive, cids } = made;
    const { dw0 } = await driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: (cids[half]! << 16) | 1 });
    expect(dw0).toBe(aborted);
    expect(await statusesOf(queue, cids)).toEqual([Status.abortRequested, Status.failedFused]);
    expect(drive.seen).toEqual([]);
    // Nobody has the range any more.
    limit(made, unlimited);
    await driver.write(queue, 1, 0, pattern(512), blocks);
  });

  test('the halves of a fused operation wait together, with nothing of the guest’s and in no namespace', async () => {
    const made = await pair();
    const { client, ram, driver, queue, cids } = made;
    client.unmapRam(ram);
    client.mapRam(ram);
    pass(made, 1000);
    expect(await statusesOf(queue, cids)).toEqual([0, 0]);
    // One second more for the write than for a read.
    const cid = submit(queue, NvmOpcode.read, ram.allocate(4096));
    pass(made, 999);
    expect(queue.poll(cid)).toBeNull();
    pass(made, 1);
    expect(queue.poll(cid)?.status).toBe(0);
    await driver.shutdown();
  });

  test('the halves of a fused operation keep no drive from being removed once the guest has shut down', async () => {
    const made = await pair();
    await made.driver.shutdown();
    const control = new Controlled(made);
    expect((await control.ask('DELETE', '/namespaces/1')).status).toBe(204);
  });

  test.each(['CC.EN', 'NSSR', 'Function Level Reset', 'DEVICE_RESET'] as const)(
    'are gone at once by %s',
    async (level) => {
      const made = await waits(way, 20);
      const { driver, handle, client, queue, server, settle, drive } = made;
      const before = drive.seen.length;
      if (level === 'CC.EN') driver.registers.cc.value = 0;
      else if (level === 'NSSR') driver.registers.nssr = 0x4e56_4d65;
      else if (level === 'Function Level Reset') handle.functionLevelReset();
      else client.reset();
      settle();
      expect(driver.registers.csts.value & 1).toBe(0);
      expect([waiting(made), made.controller.inFlight, made.controller.processor.waitingRoom.count]).toEqual([0, 0, 0]);
      server.clock.advance(100_000);
      settle();
      expect([queue.reap(), drive.seen.length]).toEqual([0, before]);
      // The limits stay.
      handle.setBusMaster(true);
      await driver.enable();
      const again = await driver.createQueues(1);
      for (let index = 0; index < 3; index++) submit(again, NvmOpcode.read, made.target);
      settle();
      expect(waiting(made)).toBe(2);
      limit(made, unlimited);
    },
  );

  test('keep no memory from being unmapped', async () => {
    const made = await waits(way);
    made.client.unmapRam(made.ram);
    expect(waiting(made)).toBe(5);
  });

  test('end with their client', async () => {
    const made = await waits(way);
    made.client.close();
    made.server.settle();
    expect([waiting(made), made.controller.inFlight, made.controller.processor.waitingRoom.count]).toEqual([0, 0, 0]);
  });

  test('keep no shutdown: CC.SHN flushes, and they are not executed after', async () => {
    const made = await waits(way);
    const { driver, drive, queue, server, settle } = made;
    await driver.shutdown();
    expect(drive.seen.at(-1)!.operation).toBe('flush');
    const before = drive.seen.length;
    server.clock.advance(100_000);
    settle();
    expect([queue.reap(), drive.seen.length]).toEqual([0, before]);
    await driver.enable();
    expect(made.controller.inFlight).toBe(0);
  });

  test('keep no daemon from its end', async () => {
    const { server, drive } = await waits(way);
    const before = drive.seen.length;
    await server.close();
    expect([drive.closed, drive.seen.length, server.clock.timers]).toEqual([true, before, 0]);
  });

  test('find their namespace gone when it is deleted; one with the same nsid has no limits', async () => {
    const made = await started(way, { drives: [], controller: { pool: testPool().pool } });
    const { driver, queue, ram, settle, controller } = made;
    const nsid = (await createNamespace(driver, { nsze: 2048 })).dw0;
    await attachNamespace(driver, nsid, 'attach');
    limit(made, slow, nsid);
    const target = ram.allocate(4096);
    const cids = Array.from({ length: 4 }, () => queue.submit({ opcode: NvmOpcode.read, nsid, prp1: target }));
    settle();
    expect(waiting(made, nsid)).toBeGreaterThan(0);
    await deleteNamespace(driver, nsid);
    const statuses = await Promise.all(cids.map(async (cid) => (await queue.completion(cid)).status));
    expect(statuses).toEqual([0, ...new Array(3).fill(Status.invalidField)]);
    expect((await createNamespace(driver, { nsze: 2048 })).dw0).toBe(nsid);
    expect(controller.namespaces.allocated(nsid)!.limits).toEqual(unlimited);
  });

  test('are there for a successor all the time, in a slot or laid aside with their entry', async () => {
    const made = await started(way);
    const { driver, queue, controller, settle, ram, server } = made;
    const { state } = controller.host;
    const waitingRows = state.table('nvme/waiting', waitingColumns, waitingCommands);
    const laid = () => waitingRows.queue.filter((id) => id !== 0).length;
    limit(made, slow);
    await driver.read(queue, 1, 0, 512, blocks);
    settle();
    // As the phase is stored, which is the word that a successor goes by: how many are laid aside.
    const moves: [number, number][] = [];
    const { set } = Object.getOwnPropertyDescriptor(Command.prototype, 'phase')!;
    const spy = vi.spyOn(Command.prototype, 'phase', 'set').mockImplementation(function (this: Command, phase) {
      if (this.opcode === NvmOpcode.read && phase !== Phase.fetching) moves.push([phase, laid()]);
      set!.call(this, phase);
    });
    try {
      const cid = queue.submit({ opcode: NvmOpcode.read, nsid: 1, prp1: ram.allocate(4096), cdw10: 77 });
      settle();
      expect(moves.splice(0)).toEqual([
        [Phase.executing, 0],
        [Phase.free, 1],
      ]);
      expect([waitingRows.queue[0], waitingRows.dword0[0]! >>> 16, waitingRows.dword10[0]]).toEqual([1, cid, 77]);
      server.clock.advance(1000);
      settle();
      expect(moves.slice(0, 2)).toEqual([
        [Phase.executing, 1],
        [Phase.completed, 0],
      ]);
      expect((await queue.completion(cid)).status).toBe(Status.success);
    } finally {
      spy.mockRestore();
    }
    // It keeps to the limits, too.
    const rows = state.table('nvme/namespace', namespaceColumns, controller.namespaces.limit + 1);
    expect([rows.iops[1], rows.bytesPerSecond[1]]).toEqual([1, 0]);
  });

  test('are gone by a reset, also once they may go on and find no slot', async () => {
    const made = await started(way);
    const { driver, ram, drive, controller, handle, server } = made;
    limit(made, slow);
    const deep = await driver.createQueues(2, { entries: 2048 });
    const target = ram.allocate(4096);
    const count = way === 'mapped' ? 1000 : 300;
    for (let index = 0; index < count; index++) deep.push({ opcode: NvmOpcode.read, nsid: 1, prp1: target });
    deep.ring();
    await until(handle.port, () => waiting(made) === count - 1, 'all but the first to wait');
    drive.stalled = true;
    limit(made, unlimited);
    made.settle();
    expect([waiting(made), controller.processor.waitingRoom.count > 100]).toEqual([0, true]);
    driver.registers.cc.value = 0;
    drive.stalled = false;
    await until(handle.port, () => (driver.registers.csts.value & 1) === 0, 'the reset to end');
    const before = drive.seen.length;
    await driver.enable();
    const queue = await driver.createQueues(1);
    made.settle();
    expect([drive.seen.length, controller.inFlight, controller.processor.waitingRoom.count]).toEqual([before, 0, 0]);
    // Others have their places.
    limit(made, slow);
    const cids = Array.from({ length: 4 }, () => submit(queue, NvmOpcode.read, target));
    for (let seconds = 0; seconds < 5; seconds++) pass(made, 1000);
    expect(await statusesOf(queue, cids)).toEqual([0, 0, 0, 0]);
    expect([queue.strays, drive.seen.length, server.clock.timers]).toEqual([[], before + 4, 0]);
  });

  test('do not begin any more once the guest has shut down, also those that have a slot', async () => {
    const made = await started(way);
    const { driver, queue, drive, ram, settle } = made;
    limit(made, slow);
    await driver.read(queue, 1, 0, 512, blocks);
    const sources = [{ lba: 0, blocks: 8 }];
    const prp1 = ram.allocate(4096);
    ram.store(prp1, copySources(sources));
    queue.submit({ ...copyCommand(1, 100, sources), prp1 });
    submit(queue, NvmOpcode.read, prp1);
    settle();
    expect(waiting(made)).toBe(2);
    await driver.shutdown();
    const before = drive.seen.length;
    limit(made, unlimited);
    settle();
    expect([waiting(made), drive.seen.length, queue.reap()]).toEqual([0, before, 0]);
    await driver.enable();
    settle();
    expect([drive.seen.length, made.controller.inFlight]).toEqual([before, 0]);
  });

  test('are many, under limits that change all the time: each completes once, and the data is right', async () => {
    const random = generator(11);
    const pick = (count: number) => Math.floor(random() * count);
    const made = await started(way, { drives: [new TestDrive(1 << 20)] });
    const { driver, ram, server, settle, drive } = made;
    const queues = await Promise.all([2, 3, 4].map((id) => driver.createQueues(id)));
    /** What each block is to be; null while a write of it is under way. */
    const content = new Array<number | null>(256).fill(0);
    const commands: { queue: QueuePair; cid: number; block: number; buffer: number; value: number | null }[] = [];
    const buffers = Array.from({ length: 48 }, () => ram.allocate(4096));
    const changes = way === 'mapped' ? 10_000 : 1000;
    let completed = 0;
    for (let change = 0; change < changes; change++) {
      const limits = {
        iops: pick(3) === 0 ? null : 1 + pick(50_000),
        bytesPerSecond: pick(3) === 0 ? null : 1000 + pick(50_000_000),
      };
      limit(made, limits);
      for (let tries = 0; tries < 2 && buffers.length > 0; tries++) {
        const queue = queues[pick(3)]!;
        const block = pick(256);
        const was = content[block]!;
        if (was === null || commands.some((one) => one.block === block)) continue;
        const buffer = buffers.pop()!;
        const value = pick(2) === 0 ? 1 + pick(255) : null;
        ram.store(buffer, new Uint8Array(512).fill(value ?? 0));
        const opcode = value === null ? NvmOpcode.read : NvmOpcode.write;
        const cid = submit(queue, opcode, buffer, block);
        commands.push({ queue, cid, block, buffer, value });
      }
      server.clock.advance(random() * 3);
      settle(1 + pick(6));
      for (let index = commands.length - 1; index >= 0; index--) {
        const { queue, cid, block, buffer, value } = commands[index]!;
        if (queue.poll(cid) === null) continue;
        expect((await queue.completion(cid)).status).toBe(0);
        if (value === null) expect(ram.load(buffer, 512)).toEqual(new Uint8Array(512).fill(content[block]!));
        else content[block] = value;
        buffers.push(buffer);
        commands.splice(index, 1);
        completed++;
      }
    }
    limit(made, unlimited);
    settle();
    for (const { queue, cid, block, value } of commands) {
      expect((await queue.completion(cid)).status).toBe(0);
      if (value !== null) content[block] = value;
      completed++;
    }
    expect(completed).toBeGreaterThan(changes / 4);
    expect(queues.map(({ strays, inFlight }) => [strays.length, inFlight])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    for (const [block, value] of content.entries()) expect(drive.bytes[block * 512]).toBe(value);
    expect([waiting(made), made.controller.inFlight, made.controller.processor.waitingRoom.count]).toEqual([0, 0, 0]);
  }, 60_000);
});

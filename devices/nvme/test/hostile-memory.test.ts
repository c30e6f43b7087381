import { AdminOpcode, encodeCommand, generator } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { HostileScene } from './hostile-scene.ts';
import { pattern, ways } from './machine.ts';

const PAGE = 4096;
const read = { opcode: 2, nsid: 1 };

describe.each(ways)('memory that is not what it was, %s memory', (way) => {
  test('unmapped with reads and writes at the drive: answered when they have ended, and not touched any more', async () => {
    const scene = new HostileScene(way);
    const queue = await scene.start();
    const { drive, settle, client } = scene.machine;
    const { island } = scene;
    drive.stalled = true;
    for (let page = 0; page < 4; page++) {
      queue.push({ ...read, prp1: island.iova + page * PAGE, cdw12: 7 });
      queue.push({ ...read, opcode: 1, prp1: island.iova + page * PAGE, cdw10: 8 * page, cdw12: 7 });
    }
    queue.ring();
    settle();
    const id = scene.sendUnmap(island);
    settle();
    const answered = () => client.wire.replies.some((one) => one.id === id);
    // By messages nothing is held: what is read then goes nowhere.
    expect(answered()).toBe(way === 'messages');
    drive.stalled = false;
    if (way === 'messages') scene.forget(island);
    settle(500);
    expect(client.wire.reply(id).error).toBe(0);
    if (way === 'mapped') scene.forget(island);
    settle();
    expect(queue.reap()).toBe(8);
    await scene.recovers();
  });

  test('a completion queue that cannot be written, or is gone: CSTS.CFS', async () => {
    for (const place of ['rom', 'island'] as const) {
      const scene = new HostileScene(way);
      await scene.start();
      const { driver, settle, ram } = scene.machine;
      const { iova } = scene[place];
      await driver.adminCommand({
        opcode: AdminOpcode.createCompletionQueue,
        prp1: iova,
        cdw10: (15 << 16) | 2,
        cdw11: 1,
      });
      const prp1 = ram.allocate(PAGE);
      await driver.adminCommand({
        opcode: AdminOpcode.createSubmissionQueue,
        prp1,
        cdw10: (15 << 16) | 2,
        cdw11: (2 << 16) | 1,
      });
      if (place === 'island') scene.unmap(scene.island);
      driver.trapped.tail(2, 3);
      settle();
      expect(driver.registers.csts.cfs).toBe(1);
      await scene.recovers();
    }
  });

  test('a completion queue that goes while its commands are at the drive', async () => {
    const scene = new HostileScene(way);
    await scene.start();
    const { driver, settle, ram, drive } = scene.machine;
    const queue = { prp1: scene.island.iova, cdw10: (15 << 16) | 2, cdw11: 1 };
    await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, ...queue });
    const prp1 = ram.allocate(PAGE);
    for (let slot = 0; slot < 8; slot++)
      ram.store(prp1 + slot * 64, encodeCommand({ ...read, prp1: ram.allocate(PAGE) }, slot));
    await driver.adminCommand({ ...queue, opcode: AdminOpcode.createSubmissionQueue, prp1, cdw11: (2 << 16) | 1 });
    drive.stalled = true;
    driver.trapped.tail(2, 8);
    settle();
    scene.unmap(scene.island);
    drive.stalled = false;
    settle();
    expect(driver.registers.csts.cfs).toBe(1);
    await scene.recovers();
  });

  test('submission and completion queue at the same address', async () => {
    const scene = new HostileScene(way);
    await scene.start();
    const { driver, settle, ram } = scene.machine;
    const prp1 = ram.allocate(PAGE);
    const queue = { prp1, cdw10: (63 << 16) | 2, cdw11: 1 };
    await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, ...queue });
    await driver.adminCommand({ ...queue, opcode: AdminOpcode.createSubmissionQueue, cdw11: (2 << 16) | 1 });
    for (let tail = 1; tail < 64; tail++) {
      driver.trapped.tail(2, tail);
      settle(20);
    }
    settle();
    await scene.recovers();
  });

  test('entries that are written anew while they are fetched: each is answered once, as it was or as it is', async () => {
    const scene = new HostileScene(way);
    const queue = await scene.start();
    const { settle, ram } = scene.machine;
    const random = generator(5);
    for (let round = 0; round < 40; round++) {
      const before = queue.tail;
      for (let slot = 0; slot < 8; slot++) queue.push({ ...read, prp1: ram.iova + 0x8_0000, cid: 8 * round + slot });
      queue.ring();
      for (let change = 0; change < 8; change++) {
        settle(1);
        const entry = queue.sqIova + ((before + change) % queue.entries) * 64;
        const word = entry + 4 * Math.floor(1 + random() * 15);
        ram.setWord(word, Math.floor(random() * 0x1_0000_0000));
      }
      settle(100);
      expect(queue.reap()).toBe(8);
      expect(queue.strays).toEqual([]);
    }
    await scene.recovers();
  });

  test('queues deleted with commands in flight, in the wrong order and twice', async () => {
    const scene = new HostileScene(way);
    const queue = await scene.start();
    const { driver, settle, drive, ram } = scene.machine;
    drive.stalled = true;
    for (let count = 0; count < 8; count++) queue.submit({ ...read, prp1: ram.allocate(PAGE) });
    settle();
    const remove = (opcode: number) => driver.admin.submit({ opcode, cdw10: 1 });
    const cids = [
      remove(AdminOpcode.deleteCompletionQueue),
      remove(AdminOpcode.deleteSubmissionQueue),
      remove(AdminOpcode.deleteSubmissionQueue),
      remove(AdminOpcode.deleteCompletionQueue),
    ];
    settle();
    drive.stalled = false;
    settle(500);
    const statuses = cids.map((cid) => driver.admin.poll(cid)?.status);
    expect(statuses).not.toContain(undefined);
    expect(statuses.filter((status) => status === 0).length).toBeGreaterThanOrEqual(1);
    driver.trapped.tail(1, 5);
    settle();
    await scene.recovers();
  });

  test('64 queues of 4,096 entries full of garbage', async () => {
    const scene = new HostileScene(way, { ramBytes: 16 << 20 });
    await scene.start();
    const { driver, settle, ram } = scene.machine;
    await driver.deleteQueues(1);
    // All share one array of entries; a completion queue each, or the first would be full at once.
    const prp1 = ram.allocate(4096 * 64);
    ram.store(prp1, pattern(4096 * 64, 3));
    const random = generator(4);
    for (let slot = 0; slot < 4096; slot++) {
      // Opcodes that there are, of a namespace that there is, more often than chance would have it.
      if (random() < 0.8) ram.buffer.bytes[prp1 - ram.iova + slot * 64] = Math.floor(random() * 16);
      if (random() < 0.8) ram.store(prp1 + slot * 64 + 4, Uint8Array.of(1, 0, 0, 0));
      if (random() < 0.8) ram.store(prp1 + slot * 64 + 1, Uint8Array.of(random() < 0.5 ? 0 : 0x40));
    }
    for (let id = 1; id <= 64; id++) {
      const cdw10 = ((4095 << 16) | id) >>> 0;
      const cq = ram.allocate(4096 * 16);
      await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, prp1: cq, cdw10, cdw11: 1 });
      await driver.adminCommand({
        opcode: AdminOpcode.createSubmissionQueue,
        prp1,
        cdw10,
        cdw11: ((id << 16) | 1) >>> 0,
      });
    }
    const tail = way === 'mapped' ? 4095 : 300;
    for (let id = 1; id <= 64; id++) driver.trapped.tail(id, tail);
    settle(3000);
    // The admin queue has its turn meanwhile.
    await driver.identifyController();
    await scene.recovers();
  }, 60_000);
});

import { AdminOpcode, blockCommand, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { machine, pattern, started, ways } from './machine.ts';

const contiguous = 1;

describe.each(ways)('queues, %s memory', (way) => {
  test('Create I/O Completion Queue refuses what cannot be', async () => {
    const { driver, ram } = await machine(way);
    await driver.enable();
    const prp1 = ram.allocate(4096);
    const create = { opcode: AdminOpcode.createCompletionQueue, prp1, cdw10: (15 << 16) | 1, cdw11: contiguous };
    const wrong = (more: object) => mistakeOf(driver, driver.admin, { ...create, ...more });
    // QID: of the admin queue, or of none.
    for (const id of [0, 65, 0xffff]) {
      expect(await wrong({ cdw10: (15 << 16) | id })).toEqual([Status.invalidQueueIdentifier, Field.cdw10, 0]);
    }
    // QSIZE: one entry, or more than CAP.MQES.
    for (const size of [0, 4096, 0xffff]) {
      expect(await wrong({ cdw10: ((size << 16) | 1) >>> 0 })).toEqual([Status.invalidQueueSize, Field.cdw10 + 2, 0]);
    }
    expect(await wrong({ cdw11: 0 })).toEqual([Status.invalidField, Field.cdw11, 0]); // PC
    expect(await wrong({ prp1: prp1 + 64 })).toEqual([Status.invalidPrpOffset, Field.prp1, 0]);
    const vector = ((65 << 16) | 2 | contiguous) >>> 0;
    expect(await wrong({ cdw11: vector })).toEqual([Status.invalidInterruptVector, Field.cdw11 + 2, 0]); // IV
    await driver.adminCommand(create);
    expect(await wrong({})).toEqual([Status.invalidQueueIdentifier, Field.cdw10, 0]); // in use
    await driver.adminCommand({ ...create, cdw10: ((4095 << 16) | 64) >>> 0 });
  });

  test('Create I/O Submission Queue refuses what cannot be', async () => {
    const { driver, ram } = await machine(way);
    await driver.enable();
    const prp1 = ram.allocate(4096);
    const cdw10 = (15 << 16) | 1;
    await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, prp1, cdw10, cdw11: contiguous });
    const create = { opcode: AdminOpcode.createSubmissionQueue, prp1, cdw10, cdw11: (1 << 16) | contiguous };
    const wrong = (more: object) => mistakeOf(driver, driver.admin, { ...create, ...more });
    for (const id of [0, 65, 0xffff]) {
      expect(await wrong({ cdw10: (15 << 16) | id })).toEqual([Status.invalidQueueIdentifier, Field.cdw10, 0]);
    }
    // CQID: of the admin queue or beyond what there can be, or of none that has been created.
    for (const id of [0, 65, 0xffff]) {
      const cdw11 = ((id << 16) | contiguous) >>> 0;
      expect(await wrong({ cdw11 })).toEqual([Status.invalidQueueIdentifier, Field.cdw11 + 2, 0]);
    }
    const cdw11 = (2 << 16) | contiguous;
    expect(await wrong({ cdw11 })).toEqual([Status.completionQueueInvalid, Field.cdw11 + 2, 0]);
    for (const size of [0, 4096, 0xffff]) {
      expect(await wrong({ cdw10: ((size << 16) | 1) >>> 0 })).toEqual([Status.invalidQueueSize, Field.cdw10 + 2, 0]);
    }
    expect(await wrong({ cdw11: 1 << 16 })).toEqual([Status.invalidField, Field.cdw11, 0]);
    expect(await wrong({ prp1: prp1 + 64 })).toEqual([Status.invalidPrpOffset, Field.prp1, 0]);
    await driver.adminCommand(create);
    expect(await wrong({})).toEqual([Status.invalidQueueIdentifier, Field.cdw10, 0]);
  });

  test.each([0, 1, 2, 3])('queue priority %i means nothing with round robin', async (priority) => {
    const { driver, ram } = await machine(way);
    await driver.enable();
    const prp1 = ram.allocate(4096);
    const cdw10 = (15 << 16) | 1;
    await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, prp1, cdw10, cdw11: contiguous });
    const cdw11 = (1 << 16) | (priority << 1) | contiguous;
    await driver.adminCommand({ opcode: AdminOpcode.createSubmissionQueue, prp1, cdw10, cdw11 });
  });

  test.each([
    ['IOCQES', AdminOpcode.createCompletionQueue, (cc: { iocqes: number }) => Object.assign(cc, { iocqes: 5 })],
    ['IOSQES', AdminOpcode.createSubmissionQueue, (cc: { iosqes: number }) => Object.assign(cc, { iosqes: 7 })],
  ] as const)('entry sizes of CC.%s that are not 64 and 16 bytes', async (_field, opcode, change) => {
    const { driver, ram } = await machine(way);
    await driver.enable();
    const create = { prp1: ram.allocate(4096), cdw10: (15 << 16) | 1 };
    await driver.adminCommand({ ...create, opcode: 5, cdw10: (15 << 16) | 2, cdw11: contiguous });
    change(driver.registers.cc);
    const { status } = await driver.submit(driver.admin, { ...create, opcode, cdw11: (2 << 16) | contiguous });
    expect(status).toBe(Status.invalidQueueSize);
  });

  test('Delete I/O Completion Queue: the submission queue first, and only what is there', async () => {
    const { driver } = await started(way);
    const { deleteCompletionQueue, deleteSubmissionQueue } = AdminOpcode;
    const wrong = (opcode: number, id: number) => mistakeOf(driver, driver.admin, { opcode, cdw10: id });
    const missing = [Status.invalidQueueIdentifier, Field.cdw10, 0];
    expect(await wrong(deleteCompletionQueue, 1)).toEqual([Status.invalidQueueDeletion, Field.cdw10, 0]);
    for (const id of [0, 2, 65, 0xffff]) {
      expect(await wrong(deleteCompletionQueue, id)).toEqual(missing);
      expect(await wrong(deleteSubmissionQueue, id)).toEqual(missing);
    }
    await driver.adminCommand({ opcode: deleteSubmissionQueue, cdw10: 1 });
    expect(await wrong(deleteSubmissionQueue, 1)).toEqual(missing);
    await driver.adminCommand({ opcode: deleteCompletionQueue, cdw10: 1 });
    expect(await wrong(deleteCompletionQueue, 1)).toEqual(missing);
    await driver.createQueues(1);
  });

  test('Delete I/O Submission Queue answers when its commands have ended', async () => {
    const { driver, drive, queue, settle, ram } = await started(way);
    drive.stalled = true;
    const read = queue.submit({ opcode: NvmOpcode.read, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    const deletion = driver.admin.submit({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 });
    await settle();
    expect(driver.admin.poll(deletion)).toBeNull();
    drive.stalled = false;
    expect((await driver.admin.completion(deletion)).status).toBe(Status.success);
    expect(queue.poll(read)?.status).toBe(Status.success);
  });

  test('64 queue pairs at once', async () => {
    const { driver } = await machine(way);
    await driver.enable();
    for (let id = 1; id <= 64; id++) await driver.createQueues(id, { entries: 4 });
    const data = pattern(512);
    for (const queue of driver.queues.values()) {
      await driver.write(queue, 1, queue.id, data, { blockBytes: 512 });
      expect(await driver.read(queue, 1, queue.id, 512, { blockBytes: 512 })).toEqual(data);
    }
  });

  test('queues of 4096 entries, filled to the last', async () => {
    const { driver, settle, ram } = await machine(way, { ramBytes: 32 << 20 });
    await driver.enable();
    const queue = await driver.createQueues(1, { entries: 4096 });
    const prp1 = ram.allocate(4096);
    for (let index = 0; index < 4095; index++) queue.push({ opcode: NvmOpcode.read, nsid: 1, prp1 });
    queue.ring();
    let completed = 0;
    for (let turn = 0; turn < 400 && completed < 4095; turn++) {
      await settle();
      completed += queue.reap();
    }
    expect(completed).toBe(4095);
    expect(queue.strays).toEqual([]);
  });

  test('a full completion queue stops fetching, and its doorbell goes on with it', async () => {
    const { driver, settle, ram } = await machine(way, { drives: [new TestDrive(1 << 20)] });
    await driver.enable();
    // Submission queues 1 and 2 share a completion queue of four entries.
    const shared = await driver.createQueues(1, { entries: 4 });
    const other = ram.allocate(4096);
    const cdw10 = (15 << 16) | 2;
    await driver.adminCommand({
      opcode: AdminOpcode.createSubmissionQueue,
      prp1: other,
      cdw10,
      cdw11: (1 << 16) | contiguous,
    });
    const prp1 = ram.allocate(4096);
    for (let index = 0; index < 3; index++)
      shared.push({ ...blockCommand(NvmOpcode.read, 1, 0, 512, { blockBytes: 512 }), prp1 });
    shared.ring();
    // The same commands, with other ids, in the second queue.
    for (let index = 0; index < 3; index++) {
      const entry = ram.load(shared.sqIova + index * 64, 64);
      entry[2] = 100 + index;
      ram.store(other + index * 64, entry);
    }
    driver.trapped.tail(2, 3);
    await settle();
    expect(shared.reap()).toBe(3);
    await settle();
    expect(shared.reap()).toBe(3);
    expect([...shared.strays].map(({ cid }) => cid).length).toBe(3);
  });

  test('64 full completion queues: each goes on when it is consumed', async () => {
    const { driver, settle, ram, controller } = await machine(way);
    await driver.enable();
    const prp1 = ram.allocate(4096);
    for (let id = 1; id <= 64; id++) await driver.createQueues(id, { entries: 16 });
    // Their completion queues of four entries, made anew.
    for (let id = 1; id <= 64; id++) {
      await driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: id });
      await driver.adminCommand({ opcode: AdminOpcode.deleteCompletionQueue, cdw10: id });
      const { cqIova, sqIova } = driver.queues.get(id)!;
      const cdw10 = (3 << 16) | id;
      await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, prp1: cqIova, cdw10, cdw11: 1 });
      await driver.adminCommand({
        opcode: AdminOpcode.createSubmissionQueue,
        prp1: sqIova,
        cdw10: (15 << 16) | id,
        cdw11: (id << 16) | 1,
      });
    }
    for (const queue of driver.queues.values()) {
      for (let index = 0; index < 10; index++) queue.push({ opcode: NvmOpcode.read, nsid: 1, prp1 });
      queue.ring();
    }
    await settle();
    const { completion, submission } = controller.queues;
    for (let id = 1; id <= 64; id++) expect([completion[id]!.used, submission[id]!.head]).toEqual([3, 3]);
    for (const head of [3, 2, 1]) {
      for (let id = 1; id <= 64; id++) driver.trapped.head(id, head);
      await settle();
    }
    for (let id = 1; id <= 64; id++) expect([completion[id]!.used, submission[id]!.head]).toEqual([1, 10]);
    expect(controller.inFlight).toBe(0);
  });

  test('Delete I/O Submission Queue while commands are in flight and the completion queue is full', async () => {
    const { driver, drive, settle, ram } = await machine(way);
    await driver.enable();
    const queue = await driver.createQueues(1, { entries: 8 });
    await driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 });
    await driver.adminCommand({ opcode: AdminOpcode.deleteCompletionQueue, cdw10: 1 });
    const small = { opcode: AdminOpcode.createCompletionQueue, prp1: queue.cqIova, cdw10: (3 << 16) | 1, cdw11: 1 };
    await driver.adminCommand(small);
    const cdw10 = (7 << 16) | 1;
    const cdw11 = (1 << 16) | 1;
    await driver.adminCommand({ opcode: AdminOpcode.createSubmissionQueue, prp1: queue.sqIova, cdw10, cdw11 });
    const prp1 = ram.allocate(4096);
    drive.stalled = true;
    for (let index = 0; index < 6; index++) queue.push({ opcode: NvmOpcode.read, nsid: 1, prp1 });
    queue.ring();
    await settle();
    const deletion = driver.admin.submit({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 });
    await settle();
    expect(driver.admin.poll(deletion)).toBeNull();
    // A second one is told that there is none any more; the queue cannot be made again before it is gone.
    expect((await driver.submit(driver.admin, { opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 })).status).toBe(
      Status.invalidQueueIdentifier,
    );
    drive.stalled = false;
    expect((await driver.admin.completion(deletion)).status).toBe(Status.success);
    expect(queue.reap()).toBe(3);
    expect((await driver.submit(driver.admin, { opcode: AdminOpcode.deleteCompletionQueue, cdw10: 1 })).status).toBe(0);
  });
});

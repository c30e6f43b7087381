import { AdminOpcode, NvmOpcode } from '@sidecard/testing';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Command, commandColumns, Phase } from '../../src/command/command.ts';
import { commandSlots, queueCount } from '../../src/limits.ts';
import { completionQueueColumns } from '../../src/queues/completion-queue.ts';
import { submissionQueueColumns } from '../../src/queues/submission-queue.ts';
import { Status } from '../../src/status.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

/** What a successor would find: the arena's rows, as they are at a moment. */
function arena({ controller }: Machine) {
  const { state } = controller.host;
  return {
    commands: state.table('nvme/command', commandColumns, commandSlots),
    sq: state.table('nvme/sq', submissionQueueColumns, queueCount),
    cq: state.table('nvme/cq', completionQueueColumns, queueCount),
  };
}

/** Calls `look` before every store of a command's phase, which is the word that a successor goes by. */
function atPhase(look: (command: Command, phase: number) => void): void {
  const { get, set } = Object.getOwnPropertyDescriptor(Command.prototype, 'phase')!;
  Object.defineProperty(Command.prototype, 'phase', {
    configurable: true,
    get,
    set(this: Command, phase: number) {
      look(this, phase);
      set!.call(this, phase);
    },
  });
  restore = () => Object.defineProperty(Command.prototype, 'phase', { configurable: true, get, set });
}

let restore = () => {};
afterEach(() => {
  restore();
  restore = () => {};
  vi.restoreAllMocks();
});

describe.each(ways)('what a successor finds (state.md), %s memory', (way) => {
  test('a command that is being fetched is recorded before its queue moves on', async () => {
    const made = await started(way);
    const { sq, commands } = arena(made);
    const seen: boolean[] = [];
    atPhase(({ slot }, phase) => {
      if (phase === Phase.fetching) seen.push(sq.next[commands.queue[slot]!] === commands.entry[slot]);
    });
    for (let lba = 0; lba < 100; lba++) await made.driver.read(made.queue, 1, lba, 512, { blockBytes: 512 });
    expect(seen).toEqual(new Array(100).fill(true));
  });

  test('a completion is recorded before it is marked, and before its queue moves on', async () => {
    const made = await started(way);
    const { cq, commands } = arena(made);
    let posted = 0;
    atPhase((command, phase) => {
      const { slot, cqe } = command;
      if (phase === Phase.completed) expect(cqe.status).toBe(Status.lbaOutOfRange | (1 << 14) | (1 << 13));
      if (phase !== Phase.posting) return;
      posted++;
      expect(commands.entry[slot]).toBe(cq.tail[1]);
      expect(cqe).toMatchObject({ sqid: 1, cid: command.cid, phase: cq.phase[1] });
    });
    for (let count = 0; count < 70; count++) {
      await expect(made.driver.read(made.queue, 1, 1 << 20, 512, { blockBytes: 512 })).rejects.toThrow('0h/80h');
    }
    expect(posted).toBe(70);
  });

  test('an event is with its request before it is no longer pending', async () => {
    const made = await started(way);
    const { driver, controller, settle } = made;
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    await settle();
    let told = 0;
    atPhase(({ cqe, step }, phase) => {
      if (phase !== Phase.completed) return;
      told++;
      expect([cqe.dw0, step]).toEqual([1 << 16, 2]);
    });
    controller.events.error(0);
    await settle();
    expect(told).toBe(1);
    expect((await driver.admin.completion(cid)).dw0).toBe(1 << 16);
  });

  test('Copy goes on from the blocks that are done, and a fused Write does not compare again', async () => {
    const { driver, queue, drive } = await started(way);
    drive.bytes.set(pattern(1 << 16));
    let cursor = 30;
    atPhase((command, phase) => {
      if (phase === Phase.executing && command.opcode !== NvmOpcode.compare) command.cursor = cursor;
    });
    const sources = [
      { lba: 0, blocks: 20 },
      { lba: 50, blocks: 20 },
    ];
    await driver.copy(queue, 1, 1000, sources);
    expect(drive.bytes.subarray(1030 * 512, 1040 * 512)).toEqual(drive.bytes.subarray(60 * 512, 70 * 512));
    expect(drive.bytes.subarray(1000 * 512, 1030 * 512).some((byte) => byte !== 0)).toBe(false);
    cursor = 1;
    const data = pattern(512, 9);
    const halves = await driver.compareAndWrite(queue, 1, 0, pattern(512, 8), data, { blockBytes: 512 });
    expect(halves.map(({ status }) => status)).toEqual([0, 0]);
    expect(drive.bytes.subarray(0, 512)).toEqual(data);
  });

  test('commands that a reset has disowned are never run again', async () => {
    const made = await started(way);
    const { driver, drive, queue, settle, ram } = made;
    drive.stalled = true;
    const prp1 = ram.allocate(4096);
    for (let index = 0; index < 3; index++) queue.submit({ opcode: 2, nsid: 1, prp1 });
    await settle();
    driver.registers.cc.value = 0;
    expect(driver.registers.csts.rdy).toBe(1);
    const phases = () => [...arena(made).commands.phase].filter((phase) => phase !== Phase.free);
    expect(phases()).toEqual([Phase.disowned, Phase.disowned, Phase.disowned]);
    drive.stalled = false;
    await settle();
    expect(phases()).toEqual([]);
  });
});

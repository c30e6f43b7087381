import { blockCommand, generator, type NvmeCommand, NvmOpcode, PrpPages } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { TestDrive } from '../test-drive.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

const EIO = 5;
const blocks = { blockBytes: 512 };
/** FUSE, and PSDT 11b. */
const [first, second, reserved, wrongPsdt] = [1, 2, 3, 0xc0];
const { failedFused, missingFused, compareFailure, invalidField } = Status;

type Made = Machine & { queue: Awaited<ReturnType<typeof started>>['queue'] };

/** A command on block 0 of namespace 1, whose data is `data`. */
function io({ ram }: Made, opcode: number, flags: number, data = pattern(512), more: Partial<NvmeCommand> = {}) {
  const pages = new PrpPages(ram, data.length);
  pages.store(data);
  const { prp1, prp2 } = pages;
  return { ...blockCommand(opcode, 1, 0, data.length, blocks), flags, prp1, prp2, ...more };
}

/** Submits them with one doorbell; their statuses. */
async function together({ queue }: Made, ...commands: readonly NvmeCommand[]): Promise<number[]> {
  const cids = commands.map((command) => queue.push(command));
  queue.ring();
  const completions = await Promise.all(cids.map((cid) => queue.completion(cid)));
  return completions.map(({ status }) => status);
}

/** The status that the specification gives a command by its place among those that were rung with it: data is zeroes, as the drive is. */
function fate(commands: readonly (readonly [opcode: number, flags: number])[], index: number): number {
  const isFirst = (at: number) => commands[at]?.[1] === first && commands[at + 1]?.[1] === second;
  const [, flags] = commands[index]!;
  if (flags === 0) return 0;
  if (flags === reserved) return invalidField;
  const at = flags === first ? index : index - 1;
  if (!isFirst(at)) return missingFused;
  const isPair = commands[at]![0] === NvmOpcode.compare && commands[at + 1]![0] === NvmOpcode.write;
  return isPair ? 0 : invalidField;
}

// Fused operations (NVMe Base 2.0, 3.4.2) of the NVM command set: Compare and Write (NVM 1.0, 2.1.3.1), next to each other in a queue, executed as one.
describe.each(ways)('Compare and Write, fused, %s memory', (way) => {
  test.each([512, 4096, 1 << 20])('%i bytes: equal, and written; or not equal, and not written', async (sizeBytes) => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const [old, data] = [pattern(sizeBytes, 1), pattern(sizeBytes, 2)];
    drive.bytes.set(old, 512);
    const halves = () => driver.compareAndWrite(queue, 1, 1, old, data, { ...blocks, pageOffset: 512 });
    expect((await halves()).map(({ status }) => status)).toEqual([0, 0]);
    expect(drive.bytes.subarray(512, 512 + sizeBytes)).toEqual(data);
    const again = await halves();
    expect(again.map(({ status }) => status)).toEqual([compareFailure, failedFused]);
    expect(again.map(({ doNotRetry }) => doNotRetry)).toEqual([true, true]);
    expect(drive.bytes.subarray(512, 512 + sizeBytes)).toEqual(data);
  });

  test('is announced: FUSES bit 0; and atomic beyond what AWUN, AWUPF and ACWU promise, which is one block', async () => {
    const { driver } = await started(way);
    const controller = new DataView((await driver.identify(1)).buffer);
    expect([522, 526, 528, 532].map((offset) => controller.getUint16(offset, true))).toEqual([1, 0, 0, 0]);
  });

  test('the halves complete in their order, many pairs in a queue that goes round', async () => {
    const made = await started(way);
    const { driver, drive } = made;
    const queue = await driver.createQueues(2, { entries: 7 });
    for (let value = 0; value < 60; value++) {
      drive.bytes.fill(value, 0, 1024);
      const [expected, data] = [new Uint8Array(512).fill(value), new Uint8Array(512).fill(value + 1)];
      const before = queue.head;
      const [compared, written] = await driver.compareAndWrite(queue, 1, value % 2, expected, data, blocks);
      expect([compared.status, written.status]).toEqual([0, 0]);
      const at = (offset: number) => queue.cqIova + ((before + offset) % 7) * 16;
      expect([made.ram.word(at(0) + 12) & 0xffff, made.ram.word(at(1) + 12) & 0xffff]).toEqual([
        compared.cid,
        written.cid,
      ]);
    }
  });

  test('31 commands, and then a pair: a burst of 32 does not end between the halves', async () => {
    const made = (await started(way)) as Made;
    for (let before = 28; before < 36; before++) {
      made.drive.bytes.set(pattern(512, 1));
      const reads = Array.from({ length: before }, () => io(made, NvmOpcode.read, 0));
      const pair = [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second, pattern(512, 2))];
      const statuses = await together(made, ...reads, ...pair, io(made, NvmOpcode.read, 0));
      expect(statuses).toEqual(new Array(before + 3).fill(0));
      expect(made.drive.bytes.subarray(0, 512)).toEqual(pattern(512, 2));
    }
  });

  test('an arbitration burst of one command (feature 01h) is one pair all the same', async () => {
    const made = (await started(way)) as Made;
    await made.driver.setFeature(1, 0);
    made.drive.bytes.set(pattern(512));
    const pair = () => [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second)];
    expect(await together(made, io(made, NvmOpcode.read, 0), ...pair(), ...pair())).toEqual([0, 0, 0, 0, 0]);
  });

  test('nobody comes in between: of pairs that four queues submit at once, one finds what it expects', async () => {
    const made = (await started(way)) as Made;
    const { driver, drive } = made;
    const queues = await Promise.all([2, 3, 4, 5].map((id) => driver.createQueues(id)));
    drive.slow = true;
    for (let round = 0; round < 30; round++) {
      // Two blocks: what is torn shows.
      const old = drive.bytes.slice(0, 1024);
      const pairs = queues.map((queue, index) => {
        const data = pattern(1024, round * 4 + index);
        const halves = [io(made, NvmOpcode.compare, first, old), io(made, NvmOpcode.write, second, data)];
        return { queue, data, cids: halves.map((half) => queue.push(half)) };
      });
      for (const { queue } of pairs) queue.ring();
      const winners: Uint8Array[] = [];
      for (const { queue, data, cids } of pairs) {
        const statuses = [];
        for (const cid of cids) statuses.push((await queue.completion(cid)).status);
        if (statuses[0] === 0) winners.push(data);
        expect(statuses).toEqual(statuses[0] === 0 ? [0, 0] : [compareFailure, failedFused]);
      }
      expect(winners).toHaveLength(1);
      expect(drive.bytes.subarray(0, 1024)).toEqual(winners[0]);
    }
  });

  test('plain writes of another queue come before or after', async () => {
    const made = (await started(way)) as Made;
    const { driver, drive, queue } = made;
    const other = await driver.createQueues(2);
    drive.slow = true;
    const [old, data, others] = [pattern(1024, 1), pattern(1024, 2), pattern(1024, 3)];
    for (let round = 0; round < 60; round++) {
      drive.bytes.set(old);
      const halves = [io(made, NvmOpcode.compare, first, old), io(made, NvmOpcode.write, second, data)];
      const writing =
        round % 2 === 0
          ? other.push(io(made, NvmOpcode.write, 0, others))
          : other.push(io(made, NvmOpcode.writeZeroes, 0, others));
      const cids = halves.map((half) => queue.push(half));
      for (const one of round % 3 === 0 ? [other, queue] : [queue, other]) one.ring();
      expect((await other.completion(writing)).status).toBe(0);
      const compared = (await queue.completion(cids[0]!)).status;
      expect((await queue.completion(cids[1]!)).status).toBe(compared === 0 ? 0 : failedFused);
      // Compared before the other's write: that came after, and is there. Else it was there to be compared with.
      expect(drive.bytes.subarray(0, 1024)).toEqual(round % 2 === 0 ? others : new Uint8Array(1024));
    }
  });

  test.each([
    ['a first half alone', [[NvmOpcode.compare, first]], [missingFused]],
    ['a second half alone', [[NvmOpcode.write, second]], [missingFused]],
    [
      'a normal command in between',
      [
        [NvmOpcode.compare, first],
        [NvmOpcode.read, 0],
        [NvmOpcode.write, second],
      ],
      [missingFused, 0, missingFused],
    ],
    [
      'the other way round',
      [
        [NvmOpcode.write, second],
        [NvmOpcode.compare, first],
      ],
      [missingFused, missingFused],
    ],
    [
      'two first halves: the second of them has a partner',
      [
        [NvmOpcode.compare, first],
        [NvmOpcode.compare, first],
        [NvmOpcode.write, second],
      ],
      [missingFused, 0, 0],
    ],
    [
      'two second halves: the first of them has a partner',
      [
        [NvmOpcode.compare, first],
        [NvmOpcode.write, second],
        [NvmOpcode.write, second],
      ],
      [0, 0, missingFused],
    ],
    [
      'commands that are no fused operation',
      [
        [NvmOpcode.write, first],
        [NvmOpcode.compare, second],
      ],
      [invalidField, invalidField],
    ],
    [
      'commands that there are not',
      [
        [0x7f, first],
        [0x7f, second],
      ],
      [invalidField, invalidField],
    ],
    ['FUSE 11b', [[NvmOpcode.compare, reserved]], [invalidField]],
    [
      'PSDT 11b',
      [
        [NvmOpcode.compare, first],
        [NvmOpcode.write, second | wrongPsdt],
      ],
      [invalidField, invalidField],
    ],
  ] as [string, [number, number][], number[]][])('%s', async (_name, commands, statuses) => {
    const made = (await started(way)) as Made;
    made.drive.bytes.set(pattern(512));
    const submitted = commands.map(([opcode, flags]) => io(made, opcode, flags));
    expect(await together(made, ...submitted)).toEqual(statuses);
    // Nothing is left of it.
    expect(await together(made, io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second))).toEqual([0, 0]);
  });

  test('the halves by two doorbells: the specification wants one, so neither has the other', async () => {
    const made = (await started(way)) as Made;
    const cids: number[] = [];
    for (const half of [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second)]) {
      cids.push(made.queue.submit(half));
      await made.settle();
    }
    for (const cid of cids) expect((await made.queue.completion(cid)).status).toBe(missingFused);
  });

  test('the ranges are the same, or both fail, and the error log has the field', async () => {
    const made = (await started(way)) as Made;
    const { driver } = made;
    for (const [more, location] of [
      [{ nsid: 2 }, 4],
      [{ cdw10: 1 }, 40],
      [{ cdw12: 1 }, 48],
    ] as const) {
      const pair = [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second, pattern(512), more)];
      expect(await together(made, ...pair)).toEqual([invalidField, invalidField]);
      expect(new DataView((await driver.logPage(1, 64)).buffer).getUint16(14, true)).toBe(location);
    }
    expect(made.drive.seen).toEqual([]);
  });

  test('a Compare that cannot be: the Write is not executed', async () => {
    const made = (await started(way)) as Made;
    const { driver, queue, drive } = made;
    const statuses = (more: Partial<NvmeCommand>) => {
      const write = io(made, NvmOpcode.write, second, pattern(512), { cdw10: more.cdw10 ?? 0, nsid: more.nsid ?? 1 });
      return together(made, io(made, NvmOpcode.compare, first, pattern(512), more), write);
    };
    expect(await statuses({ cdw10: 2048 })).toEqual([Status.lbaOutOfRange, failedFused]);
    expect(await statuses({ nsid: 17 })).toEqual([Status.invalidNamespace, failedFused]);
    expect(await statuses({ prp1: 2 })).toEqual([Status.invalidPrpOffset, failedFused]);
    expect(await statuses({ prp1: 0xdead_0000 })).toEqual([Status.dataTransferError, failedFused]);
    drive.fail = ({ operation }) => (operation === 'read' ? EIO : 0);
    expect(await statuses({})).toEqual([Status.unrecoveredRead, failedFused]);
    drive.fail = () => 0;
    await driver.writeUncorrectable(queue, 1, 0, 512, blocks);
    expect(await statuses({})).toEqual([Status.unrecoveredRead, failedFused]);
    expect(drive.seen.map(({ operation }) => operation)).toEqual(['read']);
  });

  test('a Write that cannot be: the Compare has its own status all the same', async () => {
    const made = (await started(way)) as Made;
    const { drive } = made;
    drive.bytes.set(pattern(512));
    const statuses = (compared: Uint8Array, more: Partial<NvmeCommand>) =>
      together(made, io(made, NvmOpcode.compare, first, compared), io(made, NvmOpcode.write, second, compared, more));
    for (const [more, status] of [
      [{ prp1: 2 }, Status.invalidPrpOffset],
      [{ prp1: 0xdead_0000 }, Status.dataTransferError],
      [{ cdw12: 1 << 20 }, invalidField],
    ] as const) {
      expect(await statuses(pattern(512), more)).toEqual([0, status]);
      expect(await statuses(pattern(512, 2), more)).toEqual([compareFailure, failedFused]);
    }
    drive.fail = ({ operation }) => (operation === 'write' ? EIO : 0);
    expect(await statuses(pattern(512), {})).toEqual([0, Status.writeFault]);
  });

  test('a read-only drive compares, and does not write', async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(1 << 20, { readOnly: true })] });
    const halves = await driver.compareAndWrite(queue, 1, 0, new Uint8Array(512), pattern(512), blocks);
    expect(halves.map(({ status }) => status)).toEqual([0, Status.namespaceWriteProtected]);
  });

  test('FUA of each half', async () => {
    const made = (await started(way)) as Made;
    made.drive.bytes.set(pattern(512));
    const fua = { cdw12: 1 << 30 };
    const pair = [
      io(made, NvmOpcode.compare, first, pattern(512), fua),
      io(made, NvmOpcode.write, second, pattern(512), fua),
    ];
    expect(await together(made, ...pair)).toEqual([0, 0]);
    expect(made.drive.seen.map(({ operation, fua: durable }) => [operation, durable])).toEqual([
      ['flush', false],
      ['read', false],
      ['write', true],
    ]);
  });

  test('a small completion queue, which several queues share: pairs wait for room, and for nobody who waits for them', async () => {
    const made = (await started(way)) as Made;
    const { driver } = made;
    for (const entries of [2, 3, 4]) {
      const queue = await driver.createQueues(2, { entries });
      made.drive.bytes.set(pattern(512));
      const pair = () => [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second)];
      if (entries > 2) expect(await together({ ...made, queue }, ...pair())).toEqual([0, 0]);
      await driver.deleteQueues(2);
    }
  });

  test('a pair in a completion queue of two entries can never be', async () => {
    const made = (await started(way)) as Made;
    const { driver, ram, queue } = made;
    // Completions of queue 1 to a queue of its own, which is too small.
    const small = await driver.createQueues(2, { entries: 2 });
    await driver.adminCommand({ opcode: 0, cdw10: 1 });
    const create = { opcode: 1, prp1: queue.sqIova, cdw10: (63 << 16) | 1, cdw11: (2 << 16) | 1 };
    await driver.adminCommand(create);
    ram.store(queue.sqIova, new Uint8Array(64 * 64));
    queue.tail = 0;
    const cids = [io(made, NvmOpcode.compare, first), io(made, NvmOpcode.write, second)].map((half) =>
      queue.push(half),
    );
    queue.ring();
    for (const cid of cids) {
      await made.settle();
      small.reap();
      expect(small.strays.pop()).toMatchObject({ cid, status: missingFused });
    }
  });

  test('random sequences of halves, rung in batches of any size, in queues of any size', async () => {
    const random = generator(11);
    const pick = (limit: number) => Math.floor(random() * limit);
    const made = (await started(way)) as Made;
    const { driver, drive, settle } = made;
    const zeroes = { prp1: made.ram.allocate(4096) };
    // Mostly what makes pairs.
    const kinds = [
      [NvmOpcode.compare, first],
      [NvmOpcode.compare, first],
      [NvmOpcode.write, second],
      [NvmOpcode.write, second],
      [NvmOpcode.write, 0],
      [NvmOpcode.read, 0],
      [NvmOpcode.read, second],
      [NvmOpcode.write, reserved],
    ] as const;
    for (let round = 0; round < 40; round++) {
      drive.slow = random() < 0.5;
      await driver.setFeature(1, pick(8));
      const entries = 3 + pick(60);
      const queue = await driver.createQueues(2, { entries });
      for (let batch = 0; batch < 8; batch++) {
        const commands = Array.from({ length: 1 + pick(entries - 1) }, () => kinds[pick(kinds.length)]!);
        const [statuses, expected] = [
          await together(
            { ...made, queue },
            ...commands.map(([opcode, flags]) => ({ opcode, flags, nsid: 1, ...zeroes })),
          ),
          commands.map((_, index) => fate(commands, index)),
        ];
        expect(statuses).toEqual(expected);
      }
      await driver.deleteQueues(2);
      await settle();
      expect(made.controller.inFlight).toBe(0);
    }
  });

  test('a pair keeps no room in a completion queue while it waits for more, which another pair might wait for', async () => {
    const made = (await started(way)) as Made;
    const { driver, ram, controller, settle } = made;
    // Queue 3 completes where queue 2 does, which has room for two.
    const own = await driver.createQueues(2, { entries: 3 });
    const shared = await driver.createQueues(3, { entries: 4 });
    await driver.adminCommand({ opcode: 0, cdw10: 3 });
    await driver.adminCommand({ opcode: 1, prp1: shared.sqIova, cdw10: (3 << 16) | 3, cdw11: (2 << 16) | 1 });
    const pointer = { nsid: 1, prp1: ram.allocate(4096) };
    const pair = [
      { opcode: NvmOpcode.compare, flags: first, ...pointer },
      { opcode: NvmOpcode.write, flags: second, ...pointer },
    ];
    for (let round = 0; round < 10; round++) {
      for (const [index, one] of [{ opcode: NvmOpcode.read, ...pointer }, ...pair].entries()) {
        shared.push({ ...one, cid: 1000 + index });
      }
      shared.ring();
      await settle();
      // What it has seen of the other's completions says nothing of its own submission queue.
      own.sqHead = own.tail;
      const cids = pair.map((half) => own.push(half));
      own.ring();
      await settle();
      // One completion is in the queue, and now taken: there is room for two again, which either pair may have.
      const statuses = [];
      for (const cid of cids) statuses.push((await own.completion(cid)).status);
      for (let turn = 0; own.strays.length < 3 && turn < 100; turn++) {
        await settle();
        own.reap();
      }
      expect([...statuses, ...own.strays.splice(0).map(({ status }) => status)]).toEqual([0, 0, 0, 0, 0]);
      shared.sqHead = shared.tail;
    }
    await settle();
    expect(controller.inFlight).toBe(0);
  });

  test('resets and queue deletions between the halves', async () => {
    const made = (await started(way)) as Made;
    const { driver, drive, pass, settle, controller } = made;
    drive.slow = true;
    for (let turns = 0; turns < 24; turns++) {
      const queue = driver.queues.get(1)!;
      for (let pair = 0; pair < 3; pair++) {
        queue.push(io(made, NvmOpcode.compare, first, pattern(512, turns)));
        queue.push(io(made, NvmOpcode.write, second, pattern(512, turns + 1)));
      }
      queue.ring();
      pass(turns);
      if (turns % 2 === 0) await driver.deleteQueues(1);
      else await driver.enable();
      await settle();
      expect([controller.inFlight, drive.inFlight]).toEqual([0, 0]);
      drive.bytes.set(pattern(512, turns + 1));
      await driver.createQueues(1);
      const again = { ...made, queue: driver.queues.get(1)! };
      const pair = [
        io(again, NvmOpcode.compare, first, pattern(512, turns + 1)),
        io(again, NvmOpcode.write, second, pattern(512, turns + 2)),
      ];
      expect(await together(again, ...pair)).toEqual([0, 0]);
    }
  });

  test('admin commands are never fused', async () => {
    const { driver } = await started(way);
    for (const flags of [first, second, reserved]) {
      expect((await driver.submit(driver.admin, { opcode: 0x0a, cdw10: 7, flags })).status).toBe(invalidField);
    }
  });
});

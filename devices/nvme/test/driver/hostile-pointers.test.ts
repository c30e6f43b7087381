import { encodeSgl, type NvmeCommand, prpList, SglType, sglPointer } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { pattern, started, ways } from './machine.ts';

const PAGE = 4096;
const read = { opcode: 2, nsid: 1 };
const write = { opcode: 1, nsid: 1 };

describe.each(ways)('pointers to anywhere, %s memory', (way) => {
  async function scene() {
    const made = await started(way);
    const { driver, drive, queue, controller, log, settle, ram } = made;
    return {
      ...made,
      page: ram.allocate(4 * PAGE),
      statusOf: async (command: NvmeCommand) => (await driver.submit(queue, command)).status,
      /** A driver that behaves has its disk again, nothing is left in flight, and nothing went wrong inside. */
      recovers: async () => {
        await driver.enable();
        const next = await driver.createQueues(1);
        const data = pattern(PAGE, 9);
        await driver.write(next, 1, 64, data, { blockBytes: 512 });
        expect(await driver.read(next, 1, 64, PAGE, { blockBytes: 512 })).toEqual(data);
        expect(drive.bytes.subarray(64 * 512, 64 * 512 + PAGE)).toEqual(data);
        await settle();
        expect(controller.inFlight).toBe(0);
        expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
      },
    };
  }

  test.each<[string, (bar0: number) => number]>([
    ['BAR0', (bar0) => bar0],
    ['the doorbells', (bar0) => bar0 + 0x1000],
    ['a hole', () => 2 ** 45],
    ['the last page of all', () => 2 ** 64 - PAGE],
    ['above what a Number can say', () => 2 ** 53 + PAGE],
  ])('%s: Data Transfer Error, as PRP1, PRP2, in a list, as a list, in an SGL', async (_what, place) => {
    const { slot, page, ram, statusOf, drive, recovers } = await scene();
    const iova = place(slot.function.bars[0]!.address);
    const before = drive.bytes.slice();
    const entries = ram.allocate(PAGE);
    ram.store(entries, prpList(page + PAGE, iova));
    const wide = { cdw12: 23 };
    const attempts: NvmeCommand[] = [
      { ...read, prp1: iova },
      { ...read, prp1: page, prp2: iova, cdw12: 15 },
      { ...read, prp1: page, prp2: entries, ...wide },
      { ...read, ...sglPointer({ type: SglType.dataBlock, address: BigInt(iova), lengthBytes: 512 }) },
      { ...write, prp1: iova },
      { opcode: 5, nsid: 1, prp1: page, prp2: entries, ...wide },
      { ...read, prp1: page, prp2: iova, ...wide },
      { ...read, ...sglPointer({ type: SglType.lastSegment, address: BigInt(iova), lengthBytes: 32 }) },
      { opcode: 9, nsid: 1, prp1: iova, cdw11: 4 },
    ];
    for (const attempt of attempts) {
      expect([attempt, await statusOf(attempt)]).toEqual([attempt, Status.dataTransferError]);
    }
    expect(Buffer.compare(drive.bytes, before)).toBe(0);
    await recovers();
  });

  test('lists that point to themselves end with the data', async () => {
    const { statusOf, recovers, ram } = await scene();
    const loop = ram.allocate(PAGE);
    ram.store(loop, prpList(...new Array(512).fill(loop)));
    const all = { nsid: 1, prp1: loop, prp2: loop, cdw12: 2047 };
    // A page of data goes where the list is; what a write fetched is what there was.
    expect(await statusOf({ ...all, opcode: 1 })).toBe(Status.success);
    // The last entry that fits, so that each page of the list is one entry and the next page.
    ram.store(loop + PAGE - 16, prpList(loop, loop));
    expect(await statusOf({ ...all, opcode: 1, prp2: loop + PAGE - 16 })).toBe(Status.success);
    ram.store(loop + PAGE - 8, prpList(loop + 8));
    expect(await statusOf({ ...all, opcode: 1, prp2: loop + PAGE - 8 })).toBe(Status.invalidPrpOffset);
    // A read overwrites the list while it is used: it was copied before.
    expect([Status.success, Status.dataTransferError, Status.invalidPrpOffset]).toContain(
      await statusOf({ ...all, opcode: 2 }),
    );
    await recovers();
  });

  test('SGL segments without end: the same again, nothing but themselves, descriptors of no bytes', async () => {
    const { statusOf, recovers, ram, page } = await scene();
    const loop = ram.allocate(PAGE);
    const again = { type: SglType.segment, address: loop, lengthBytes: PAGE };
    const command = { ...read, ...sglPointer(again) };
    const limits: number[] = [Status.invalidSglCount, Status.invalidSglLength, Status.invalidSglSegment];
    const nothing = { type: SglType.dataBlock, address: page, lengthBytes: 0 };
    const empty = { type: SglType.bitBucket, lengthBytes: 0 };
    for (const filler of [nothing, empty]) {
      ram.store(loop, encodeSgl([...new Array(255).fill(filler), again]));
      expect(limits).toContain(await statusOf(command));
    }
    const self = { type: SglType.segment, address: loop, lengthBytes: 16 };
    ram.store(loop, encodeSgl([self]));
    expect(limits).toContain(await statusOf({ ...read, ...sglPointer(self) }));
    // Four gigabytes of descriptors, most of which are not there.
    const vast = { type: SglType.lastSegment, address: loop, lengthBytes: 0xffff_fff0 };
    ram.store(loop, encodeSgl(new Array(256).fill(nothing)));
    expect([...limits, Status.dataTransferError]).toContain(await statusOf({ ...read, ...sglPointer(vast) }));
    await recovers();
  });

  test("data in the queues themselves: the driver's own loss", async () => {
    const { queue, settle, driver, drive, recovers } = await scene();
    drive.bytes.fill(0x11, 0, 4096);
    queue.push({ ...write, prp1: queue.sqIova });
    queue.push({ ...write, prp1: queue.cqIova, cdw10: 8 });
    queue.push({ ...read, prp1: queue.cqIova, cdw10: 16 });
    queue.push({ ...read, prp1: queue.sqIova, cdw10: 16 });
    queue.ring();
    await settle();
    expect(driver.registers.csts.cfs).toBe(0);
    await recovers();
  });
});

import { encodeSgl, type NvmeCommand, SglType, sglPointer } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { HostileScene } from './hostile-scene.ts';
import { pattern, ways } from './machine.ts';

const PAGE = 4096;
/** BAR0 of the function, as the bus of the test library places it. */
const bar0 = 0xe000_0000;
const read = { opcode: 2, nsid: 1 };
const write = { opcode: 1, nsid: 1 };

/** Entries of a PRP list, or addresses of one. */
function list(...entries: number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(entries, (entry) => BigInt(entry)).buffer);
}

describe.each(ways)('pointers to anywhere, %s memory', (way) => {
  async function scene() {
    const made = new HostileScene(way);
    const queue = await made.start();
    const { driver, ram } = made.machine;
    return {
      ...made.machine,
      made,
      queue,
      page: ram.allocate(4 * PAGE),
      statusOf: async (command: NvmeCommand) => (await driver.submit(queue, command)).status,
    };
  }

  test.each([
    ['BAR0', bar0],
    ['the doorbells', bar0 + 0x1000],
    ['a hole', 0x6666_6000],
    ['the last page of all', 2 ** 64 - PAGE],
    ['above what a Number can say', 2 ** 53 + PAGE],
    ['a ROM, to be written', 0x4000_0000],
    ['the page before a map', 0x3000_1000],
    ['the page after a map', 0x3000_6000],
  ])('%s: Data Transfer Error, as PRP1, PRP2, in a list, as a list, in an SGL', async (_what, iova) => {
    const { made, page, ram, statusOf, drive } = await scene();
    const before = drive.bytes.slice();
    const entries = ram.allocate(PAGE);
    ram.store(entries, list(page + PAGE, iova));
    const wide = { cdw12: 23 };
    const attempts: NvmeCommand[] = [
      { ...read, prp1: iova },
      { ...read, prp1: page, prp2: iova, cdw12: 15 },
      { ...read, prp1: page, prp2: entries, ...wide },
      { ...read, ...sglPointer({ type: SglType.dataBlock, address: BigInt(iova), lengthBytes: 512 }) },
    ];
    // What is read from the guest: a ROM is as good as any memory.
    if (iova !== 0x4000_0000) {
      attempts.push(
        { ...write, prp1: iova },
        { opcode: 5, nsid: 1, prp1: page, prp2: entries, ...wide },
        { ...read, prp1: page, prp2: iova, ...wide },
        { ...read, ...sglPointer({ type: SglType.lastSegment, address: BigInt(iova), lengthBytes: 32 }) },
        { opcode: 9, nsid: 1, prp1: iova, cdw11: 4 },
      );
    }
    for (const attempt of attempts) {
      expect([attempt, await statusOf(attempt)]).toEqual([attempt, Status.dataTransferError]);
    }
    expect(Buffer.compare(drive.bytes, before)).toBe(0);
    await made.recovers();
  });

  test('data that begins in a map and ends behind it: nothing behind it is touched', async () => {
    const { made, statusOf, ram } = await scene();
    const last = made.island.iova + made.island.sizeBytes - PAGE;
    expect(await statusOf({ ...read, prp1: last, prp2: last + PAGE, cdw12: 15 })).toBe(Status.dataTransferError);
    const block = { type: SglType.dataBlock, address: last + PAGE - 256, lengthBytes: 512 };
    expect(await statusOf({ ...read, ...sglPointer(block) })).toBe(Status.dataTransferError);
    const end = ram.iova + ram.sizeBytes;
    expect(await statusOf({ ...read, prp1: end - PAGE, prp2: end, cdw12: 15 })).toBe(Status.dataTransferError);
    // The list itself goes over the end.
    const twelve = { ...read, prp1: ram.allocate(PAGE), cdw12: 95 };
    expect(await statusOf({ ...twelve, prp2: last + PAGE - 8 })).toBe(Status.invalidPrpOffset);
    await made.recovers();
  });

  test('memory that a device may only write: no list is read there, and data lands', async () => {
    const { made, statusOf, page, drive } = await scene();
    drive.bytes.set(pattern(512));
    const { sink } = made;
    expect(await statusOf({ ...read, prp1: page, prp2: sink.iova, cdw12: 23 })).toBe(Status.dataTransferError);
    expect(await statusOf({ ...write, prp1: sink.iova })).toBe(Status.dataTransferError);
    expect(await statusOf({ ...read, prp1: sink.iova })).toBe(Status.success);
    expect(sink.ram.load(sink.iova, 512)).toEqual(pattern(512));
    await made.recovers();
  });

  test('lists that point to themselves end with the data', async () => {
    const { made, statusOf, ram } = await scene();
    const loop = ram.allocate(PAGE);
    ram.store(loop, list(...new Array(512).fill(loop)));
    const all = { nsid: 1, prp1: loop, prp2: loop, cdw12: 2047 };
    // A page of data goes where the list is; what a write fetched is what there was.
    expect(await statusOf({ ...all, opcode: 1 })).toBe(Status.success);
    // The last entry that fits, so that each page of the list is one entry and the next page.
    ram.store(loop + PAGE - 16, list(loop, loop));
    expect(await statusOf({ ...all, opcode: 1, prp2: loop + PAGE - 16 })).toBe(Status.success);
    ram.store(loop + PAGE - 8, list(loop + 8));
    expect(await statusOf({ ...all, opcode: 1, prp2: loop + PAGE - 8 })).toBe(Status.invalidPrpOffset);
    // A read overwrites the list while it is used: it was copied before.
    expect([Status.success, Status.dataTransferError, Status.invalidPrpOffset]).toContain(
      await statusOf({ ...all, opcode: 2 }),
    );
    await made.recovers();
  });

  test('SGL segments without end: the same again, nothing but themselves, descriptors of no bytes', async () => {
    const { made, statusOf, ram, page } = await scene();
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
    await made.recovers();
  });

  test("data in the queues themselves: the driver's own loss", async () => {
    const { made, queue, settle, driver } = await scene();
    made.machine.drive.bytes.fill(0x11, 0, 4096);
    queue.push({ ...write, prp1: queue.sqIova });
    queue.push({ ...write, prp1: queue.cqIova, cdw10: 8 });
    queue.push({ ...read, prp1: queue.cqIova, cdw10: 16 });
    queue.push({ ...read, prp1: queue.sqIova, cdw10: 16 });
    queue.ring();
    settle();
    expect(driver.registers.csts.cfs).toBe(0);
    await made.recovers();
  });
});

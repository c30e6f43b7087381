import { type NvmeCommand, prpList, SglType, sglPointer } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { HostileScene } from './hostile-scene.ts';
import { pattern, ways } from './machine.ts';

const PAGE = 4096;
const read = { opcode: 2, nsid: 1 };
const write = { opcode: 1, nsid: 1 };

describe.each(ways)('pointers to the edges of maps, and to memory that is not for everything, %s memory', (way) => {
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
    ['a ROM, to be written', 0x4000_0000],
    ['the page before a map', 0x3000_1000],
    ['the page after a map', 0x3000_6000],
  ])('%s: Data Transfer Error, as PRP1, PRP2, in a list, as a list, in an SGL', async (_what, iova) => {
    const { made, page, ram, statusOf, drive } = await scene();
    const before = drive.bytes.slice();
    const entries = ram.allocate(PAGE);
    ram.store(entries, prpList(page + PAGE, iova));
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
});

import {
  generator,
  NvmOpcode,
  type SglDescriptor,
  type SglOptions,
  SglPieces,
  SglType,
  sglPointer,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { sglPieces } from '../../src/limits.ts';
import { Field, Status } from '../../src/status.ts';
import { outcome, readOf, stored } from '../sgl.ts';
import { TestDrive } from '../test-drive.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

const { dataBlock, bitBucket, segment, lastSegment, keyed, transport } = SglType;

describe.each(ways)('SGLs (NVMe Base 2.0, 4.1.2), %s memory', (way) => {
  test('Identify says what of them there is', async () => {
    const { driver } = await started(way);
    const { raw } = await driver.identifyController();
    // 01b: data blocks of any alignment and length; bit 16: bit buckets; bit 18: more of it than there is data.
    expect(new DataView(raw.buffer).getUint32(536, true)).toBe(0x0005_0001);
  });

  test('0h data block: in the command itself, of any length, from any byte on', async () => {
    const { driver, queue, drive } = await started(way);
    for (const [offset, sizeBytes] of [
      [0, 512],
      [1, 512],
      [4095, 4096],
      [7, 100 * 512],
    ] as const) {
      const data = pattern(sizeBytes, sizeBytes + offset);
      const options = { blockBytes: 512, sgl: { offset } };
      await driver.write(queue, 1, 9, data, options);
      expect(drive.bytes.subarray(9 * 512, 9 * 512 + sizeBytes)).toEqual(data);
      expect(await driver.read(queue, 1, 9, sizeBytes, options)).toEqual(data);
    }
  });

  test.each<[string, SglOptions]>([
    ['pages', { parts: [4096], scattered: true }],
    ['blocks', { parts: [512], scattered: true }],
    ['odd lengths', { parts: [1, 2, 3, 5000, 700, 13], scattered: true }],
    ['odd lengths that touch', { parts: [1, 2, 3, 5000, 700, 13], offset: 5 }],
    ['descriptors without data among them', { parts: [0, 4096, 0, 0, 100] }],
    ['more than the data', { parts: [3000], excessBytes: 70_000 }],
    ['PSDT 10b', { parts: [4096], metadataSgl: true }],
  ])('3h last segment, of %s', async (_what, sgl) => {
    const { driver, queue } = await started(way);
    for (const sizeBytes of [512, 4096, 64 * 1024]) {
      const options = { blockBytes: 512, sgl };
      const data = pattern(sizeBytes, sizeBytes);
      await driver.write(queue, 1, 1, data, options);
      expect(await driver.read(queue, 1, 1, sizeBytes, { blockBytes: 512 })).toEqual(data);
      expect(await driver.read(queue, 1, 1, sizeBytes, options)).toEqual(data);
    }
  });

  test.each([2, 3, 16, 31, 32, 33, 64, 100, 256, 257, 400])(
    '2h segments of %i descriptors, each naming the next',
    async (segmentDescriptors) => {
      const { driver, queue } = await started(way);
      const options = { blockBytes: 512, sgl: { parts: [700, 324, 512], scattered: true, segmentDescriptors } };
      const data = pattern(512 * 450, segmentDescriptors);
      await driver.write(queue, 1, 1, data, options);
      expect(await driver.read(queue, 1, 1, data.length, options)).toEqual(data);
    },
  );

  test('a segment that names no other is the last, whatever it was announced as', async () => {
    const made = await started(way);
    const address = made.ram.allocate(4096);
    const first = stored(made, segment, [{ type: dataBlock, address, lengthBytes: 512 }]);
    expect(await outcome(made, readOf(512), first)).toEqual([Status.success]);
    expect(await outcome(made, readOf(1024), first)).toEqual([Status.invalidSglLength, Field.sgl1, 0]);
  });

  test('1 MiB (MDTS), and nothing is touched beyond it', async () => {
    const { driver, queue, ram, drive } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const data = pattern(1 << 20);
    drive.bytes.set(data);
    const sgl = new SglPieces(ram, 1 << 20, 'in', { parts: [3000, 5000, 77, 4096, 8000], excessBytes: 100 });
    const last = sgl.descriptors.at(-1)!;
    ram.store(Number(last.address), new Uint8Array(100).fill(0xee));
    await driver.command(queue, { ...readOf(1 << 20), ...sgl.pointer });
    expect(Buffer.compare(sgl.load(), data)).toBe(0);
    expect(ram.load(Number(last.address), 100)).toEqual(new Uint8Array(100).fill(0xee));
    const { status } = await driver.submit(queue, { ...readOf((1 << 20) + 512), ...sgl.pointer });
    expect(status).toBe(Status.invalidField);
  });

  test('1h bit bucket: what is read is dropped, and counts for the length', async () => {
    const { driver, queue, drive, ram } = await started(way);
    const data = pattern(64 * 1024);
    drive.bytes.set(data);
    const sgl = { parts: [512, { bitBucket: 1000 }, 24, { bitBucket: 0 }, 4096], segmentDescriptors: 5 };
    const read = await driver.read(queue, 1, 0, data.length, { blockBytes: 512, sgl });
    const expected = data.slice();
    for (let at = 0; at < data.length; at += 5632) expected.fill(0, at + 512, at + 1512);
    expect(read).toEqual(expected);
    // All of it, by the one descriptor in the command; and what is behind the data is no matter.
    expect(
      (await driver.submit(queue, { ...readOf(1 << 19), ...sglPointer({ type: bitBucket, lengthBytes: 0xffff_ffff }) }))
        .status,
    ).toBe(0);
    const address = ram.allocate(4096);
    const bucket = { type: bitBucket, address: 0xdead_dead, lengthBytes: 512 };
    const list = stored({ ram }, lastSegment, [bucket, { type: dataBlock, address, lengthBytes: 512 }, bucket]);
    await driver.command(queue, { ...readOf(1024), ...sglPointer(list) });
    expect(ram.load(address, 512)).toEqual(data.slice(512, 1024));
  });

  test('1h bit bucket: of what is written it has nothing', async () => {
    const made = await started(way);
    const { driver, queue, drive } = made;
    const data = pattern(16 * 1024);
    const sgl = { parts: [512, { bitBucket: 1000 }, 24, { bitBucket: 0xffff_ffff }, 4096], segmentDescriptors: 5 };
    await driver.write(queue, 1, 3, data, { blockBytes: 512, sgl });
    expect(drive.bytes.subarray(3 * 512, 3 * 512 + data.length)).toEqual(data);
    await driver.compare(queue, 1, 3, data, { blockBytes: 512, sgl });
    const write = { ...readOf(512), opcode: NvmOpcode.write };
    const onlyBucket = { type: bitBucket, lengthBytes: 512 };
    expect(await outcome(made, write, onlyBucket)).toEqual([Status.invalidSglLength, Field.sgl1 + 8, 0]);
  });

  test('PSDT: 11b is reserved, and admin commands have PRP entries only', async () => {
    const { driver, queue, ram } = await started(way);
    const block = { type: dataBlock, address: ram.allocate(4096), lengthBytes: 4096 };
    const identify = { opcode: 6, cdw10: 1 };
    for (const [on, command, psdt] of [
      [queue, readOf(512), 0b11],
      [queue, { opcode: NvmOpcode.flush, nsid: 1 }, 0b11],
      [driver.admin, identify, 0b01],
      [driver.admin, identify, 0b10],
      [driver.admin, identify, 0b11],
    ] as const) {
      const { status } = await driver.submit(on, { ...command, ...sglPointer(block, psdt) });
      expect(status).toBe(Status.invalidField);
      expect((await driver.logPage(1, 64)).subarray(14, 16)).toEqual(Uint8Array.of(Field.flags, 6));
    }
    // Commands without data may say what they like.
    const flush = { opcode: NvmOpcode.flush, nsid: 1, ...sglPointer({ type: keyed }) };
    expect((await driver.submit(queue, flush)).status).toBe(Status.success);
  });

  describe('wrong descriptors', () => {
    const top = 2n ** 64n;
    /** 512 bytes of memory, as a data block. */
    const blockOf = ({ ram }: Machine) => ({ type: dataBlock, address: ram.allocate(4096), lengthBytes: 512 });

    // What of such a block is otherwise.
    test.each<[string, Partial<SglDescriptor>, readonly [number, number?]]>([
      ['4h keyed data block', { type: keyed }, [Status.invalidSglType, 15]],
      ['5h transport data block', { type: transport, subType: 0xa }, [Status.invalidSglType, 15]],
      ['a type that is reserved', { type: 6 }, [Status.invalidSglType, 15]],
      ['a type of a vendor', { type: 15 }, [Status.invalidSglType, 15]],
      ['sub type 1h, Offset', { subType: 1 }, [Status.invalidSglType, 15]],
      ['a transport’s sub type', { subType: 0xa }, [Status.invalidSglType, 15]],
      ['a bit bucket with a sub type', { type: bitBucket, subType: 1 }, [Status.invalidSglType, 15]],
      ['a segment by Offset', { type: segment, subType: 1 }, [Status.invalidSglType, 15]],
      ['a segment of no bytes', { type: segment, lengthBytes: 0 }, [Status.invalidSglSegment, 8]],
      ['a last segment of no bytes', { type: lastSegment, lengthBytes: 0 }, [Status.invalidSglSegment, 8]],
      ['a segment of 24 bytes', { type: segment, lengthBytes: 24 }, [Status.invalidSglSegment, 8]],
      ['a last segment of 1 byte', { type: lastSegment, lengthBytes: 1 }, [Status.invalidSglSegment, 8]],
      ['a segment at half a qword', { type: segment, address: 4 }, [Status.invalidSglSegment, 0]],
      ['a data block that is too short', { lengthBytes: 511 }, [Status.invalidSglLength, 8]],
      ['a data block of no bytes', { lengthBytes: 0 }, [Status.invalidSglLength, 8]],
      ['a data block over the top', { address: top - 511n }, [Status.invalidSglLength, 8]],
      ['a segment over the top', { type: segment, address: top - 504n }, [Status.invalidSglLength, 8]],
      ['a data block up to the top', { address: top - 512n }, [Status.dataTransferError]],
      ['a data block that is not there', { address: 0xdead_0000 }, [Status.dataTransferError]],
      ['a segment that is not there', { type: segment, address: 0xdead_0000 }, [Status.dataTransferError]],
      ['a last segment up to the top', { type: lastSegment, address: top - 512n }, [Status.dataTransferError]],
    ])('%s', async (_what, wrong, [status, byte]) => {
      const made = await started(way);
      const block = blockOf(made);
      const sgl1 = { ...block, ...wrong };
      const nowhere = status === Status.dataTransferError;
      const inCommand = nowhere ? [0xff, 0xff] : [Field.sgl1 + byte!, 0];
      expect(await outcome(made, readOf(512), sgl1)).toEqual([status, ...inCommand]);
      // The same as the last descriptor of a segment.
      const inSegment = nowhere ? [0xff, 0xff] : [Field.sgl1, 0];
      const list = stored(made, segment, [{ type: dataBlock }, sgl1]);
      expect(await outcome(made, readOf(512), list)).toEqual([status, ...inSegment]);
      // And where the data has its place before it, nobody looks at it.
      const unseen = stored(made, segment, [block, sgl1]);
      expect(await outcome(made, readOf(512), unseen)).toEqual([Status.success]);
    });

    test('a segment descriptor that is not the last of its segment', async () => {
      const made = await started(way);
      const block = blockOf(made);
      for (const type of [segment, lastSegment]) {
        const next = stored(made, type, [block]);
        for (const outer of [segment, lastSegment]) {
          const list = stored(made, outer, [next, { type: dataBlock }]);
          expect(await outcome(made, readOf(512), list)).toEqual([Status.invalidSglCount, Field.sgl1, 0]);
        }
      }
    });

    test('a last segment that names another', async () => {
      const made = await started(way);
      const block = blockOf(made);
      for (const type of [segment, lastSegment]) {
        const list = stored(made, lastSegment, [{ type: dataBlock }, stored(made, type, [block])]);
        expect(await outcome(made, readOf(512), list)).toEqual([Status.invalidSglSegment, Field.sgl1, 0]);
      }
    });

    test('an SGL that is too short, in one segment and in several', async () => {
      const made = await started(way);
      const block = blockOf(made);
      const tooShort = [Status.invalidSglLength, Field.sgl1, 0];
      const last = stored(made, lastSegment, [block, { type: dataBlock }]);
      expect(await outcome(made, readOf(1024), last)).toEqual(tooShort);
      expect(await outcome(made, readOf(1536), stored(made, segment, [block, last]))).toEqual(tooShort);
      const bucket = stored(made, lastSegment, [block, { type: bitBucket, lengthBytes: 511 }]);
      expect(await outcome(made, readOf(1024), bucket)).toEqual(tooShort);
    });
  });

  test(`${sglPieces} data blocks and bit buckets at most; descriptors without data are none`, async () => {
    const made = await started(way);
    const { driver, queue, ram, drive } = made;
    const data = pattern(sglPieces * 512);
    drive.bytes.set(data);
    const most = new SglPieces(ram, data.length, 'in', { parts: [512, 0, { bitBucket: 512 }, 0], scattered: true });
    await driver.command(queue, { ...readOf(data.length), ...most.pointer });
    const blocks = most.descriptors.filter(({ lengthBytes }) => lengthBytes! > 0);
    expect(blocks).toHaveLength(sglPieces);
    const address = ram.allocate(4096);
    const tooMany = [...blocks, { type: dataBlock, address, lengthBytes: 512 }];
    expect(await outcome(made, readOf(data.length + 512), stored(made, lastSegment, tooMany))).toEqual([
      Status.invalidSglCount,
      Field.sgl1,
      0,
    ]);
  });

  test.each([
    ['an SGL data block', {}],
    ['SGL segments with bit buckets', { parts: [700, { bitBucket: 100 }, 333], segmentDescriptors: 4 }],
  ])('Copy, Dataset Management, and Compare and Write, fused: by %s', async (_what, sgl) => {
    const { driver, queue, drive } = await started(way);
    const [old, data] = [pattern(9 * 512, 1), pattern(9 * 512, 2)];
    drive.bytes.set(old, 512);
    const options = { blockBytes: 512, sgl };
    const halves = await driver.compareAndWrite(queue, 1, 1, old, data, options);
    expect(halves.map(({ status }) => status)).toEqual([Status.success, Status.success]);
    const ranges = Array.from({ length: 100 }, (_, index) => ({ lba: 1 + (index % 9), blocks: 1 }));
    await driver.copy(queue, 1, 100, ranges, options);
    for (const [index, { lba }] of ranges.entries()) {
      const at = (100 + index) * 512;
      expect(drive.bytes.subarray(at, at + 512)).toEqual(data.subarray((lba - 1) * 512, lba * 512));
    }
    await driver.deallocate(queue, 1, [{ lba: 2, blocks: 3 }, ...ranges.map(() => ({ lba: 7, blocks: 1 }))], options);
    expect(drive.bytes.subarray(2 * 512, 5 * 512)).toEqual(new Uint8Array(3 * 512));
    expect(drive.bytes.subarray(7 * 512, 8 * 512)).toEqual(new Uint8Array(512));
    expect(drive.bytes.subarray(5 * 512, 7 * 512)).toEqual(data.subarray(4 * 512, 6 * 512));
  });

  test('many at once, of PRP lists and SGLs in turn, with the same data', async () => {
    const { driver, queue, drive } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const random = generator(11);
    drive.bytes.set(pattern(2 << 20));
    const reads = Array.from({ length: 40 }, async (_, index) => {
      const sizeBytes = 512 * (1 + Math.floor(random() * 100));
      const parts = Array.from({ length: 5 }, () => Math.floor(random() * 5000) + 100);
      const sgl = { parts, scattered: random() < 0.5, segmentDescriptors: 2 + Math.floor(random() * 40) };
      const options = { blockBytes: 512, ...(index % 2 === 0 ? { sgl } : {}) };
      const read = await driver.read(queue, 1, index * 16, sizeBytes, options);
      expect(Buffer.compare(read, drive.bytes.subarray(index * 8192, index * 8192 + sizeBytes))).toBe(0);
    });
    await Promise.all(reads);
  });
});

import { blockCommand, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { placements } from '../placements.ts';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

describe.each(ways)('Read and Write, %s memory', (way) => {
  test.each([512, 4096, 8192, 12_288, 65_536, 1 << 20])(
    '%i bytes come back, wherever they are in memory',
    async (sizeBytes) => {
      const { driver, queue, drive } = await started(way, { drives: [new TestDrive(4 << 20)] });
      let lba = 3;
      for (const placement of placements) {
        const options = { blockBytes: 512, ...placement };
        const data = pattern(sizeBytes, lba);
        await driver.write(queue, 1, lba, data, options);
        expect(Buffer.compare(drive.bytes.subarray(lba * 512, lba * 512 + sizeBytes), data)).toBe(0);
        expect(Buffer.compare(await driver.read(queue, 1, lba, sizeBytes, options), data)).toBe(0);
        lba += 7;
      }
    },
  );

  test('blocks of 4096 bytes', async () => {
    const { driver, queue, drive } = await started(way, { lbaBytes: 4096 });
    const data = pattern(8192);
    await driver.write(queue, 1, 5, data, { blockBytes: 4096 });
    expect(drive.bytes.subarray(5 * 4096, 7 * 4096)).toEqual(data);
    expect(await driver.read(queue, 1, 5, 8192, { blockBytes: 4096 })).toEqual(data);
  });

  test('many at once, each with its own answer', async () => {
    const { driver, queue, drive } = await started(way);
    const data = pattern(1 << 20);
    drive.bytes.set(data);
    const reads = Array.from({ length: 60 }, (_, index) => driver.read(queue, 1, index * 8, 4096, { blockBytes: 512 }));
    (await Promise.all(reads)).forEach((read, index) => {
      expect(read).toEqual(data.subarray(index * 4096, index * 4096 + 4096));
    });
  });

  test('a queue goes round many times', async () => {
    const { driver, queue } = await started(way);
    for (let lap = 0; lap < 300; lap++) {
      const data = pattern(512, lap);
      await driver.write(queue, 1, lap % 100, data, { blockBytes: 512 });
      expect(await driver.read(queue, 1, lap % 100, 512, { blockBytes: 512 })).toEqual(data);
    }
  });

  test('FUA: a Write is durable when it is done, and what is read is durable first', async () => {
    const { driver, queue, drive } = await started(way);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512, fua: true });
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    await driver.read(queue, 1, 0, 512, { blockBytes: 512, fua: true });
    expect(drive.seen.map(({ operation, fua }) => [operation, fua])).toEqual([
      ['write', true],
      ['write', false],
      ['flush', false],
      ['read', false],
    ]);
  });

  test('wrong fields', async () => {
    const { driver, queue, ram } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const prp1 = ram.allocate(4096);
    const read = { ...blockCommand(NvmOpcode.read, 1, 0, 512, { blockBytes: 512 }), prp1 };
    const statusOf = async (more: object) => {
      const { status, doNotRetry } = await driver.submit(queue, { ...read, ...more });
      expect(doNotRetry).toBe(status !== 0 && status !== Status.dataTransferError);
      return status;
    };
    expect(await statusOf({})).toBe(Status.success);
    expect(await statusOf({ nsid: 0 })).toBe(Status.invalidNamespace);
    expect(await statusOf({ nsid: 2 })).toBe(Status.invalidField);
    expect(await statusOf({ nsid: 17 })).toBe(Status.invalidNamespace);
    expect(await statusOf({ nsid: 0xffff_ffff })).toBe(Status.invalidNamespace);
    expect(await statusOf({ opcode: 0x7f })).toBe(Status.invalidOpcode);
    expect(await statusOf({ flags: 3 })).toBe(Status.invalidField);
    expect(await statusOf({ flags: 0xc0 })).toBe(Status.invalidField); // PSDT 11b; SGLs: see sgl.test.ts
    expect(await statusOf({ cdw10: 4096 })).toBe(Status.lbaOutOfRange);
    expect(await statusOf({ cdw10: 4095, cdw12: 1 })).toBe(Status.lbaOutOfRange);
    expect(await statusOf({ cdw10: 0xffff_ffff, cdw11: 0xffff_ffff })).toBe(Status.lbaOutOfRange);
    expect(await statusOf({ cdw12: 2048 })).toBe(Status.invalidField); // a block more than MDTS
    expect(await statusOf({ prp1: prp1 + 2 })).toBe(Status.invalidPrpOffset);
    expect(await statusOf({ cdw12: 15, prp2: prp1 + 512 })).toBe(Status.invalidPrpOffset);
    expect(await statusOf({ cdw12: 31, prp2: prp1 + 4 })).toBe(Status.invalidPrpOffset);
    expect(await statusOf({ prp1: 0xdead_0000 })).toBe(Status.dataTransferError);
    expect(await statusOf({ cdw12: 31, prp2: 0xdead_0000 })).toBe(Status.dataTransferError);
    expect(await statusOf({ prp1: 2 ** 63 })).toBe(Status.dataTransferError);
    // A list whose entries are nonsense.
    ram.store(prp1, new Uint8Array(4096).fill(0xff));
    expect(await statusOf({ cdw12: 31, prp2: prp1 })).toBe(Status.invalidPrpOffset);
    expect(await statusOf({})).toBe(Status.success);
  });

  test.each([NvmOpcode.read, NvmOpcode.write])(
    'opcode %i: the error log has the field that is wrong',
    async (opcode) => {
      const { driver, queue, ram, drive } = await started(way, { drives: [new TestDrive(2 << 20)] });
      const prp1 = ram.allocate(8192);
      const wrong = (more: object) => mistakeOf(driver, queue, { opcode, nsid: 1, prp1, ...more });
      expect(await wrong({ nsid: 2 })).toEqual([Status.invalidField, 4, 0]);
      expect(await wrong({ nsid: 17 })).toEqual([Status.invalidNamespace, 4, 0]);
      expect(await wrong({ cdw10: 4096 })).toEqual([Status.lbaOutOfRange, 40, 0]);
      expect(await wrong({ cdw12: 2048 })).toEqual([Status.invalidField, 48, 0]);
      expect(await wrong({ prp1: prp1 + 2 })).toEqual([Status.invalidPrpOffset, 24, 0]);
      expect(await wrong({ cdw12: 15, prp2: prp1 + 512 })).toEqual([Status.invalidPrpOffset, 32, 0]);
      expect(await wrong({ cdw12: 31, prp2: prp1 + 4 })).toEqual([Status.invalidPrpOffset, 32, 0]);
      // A directive, and none is enabled: DTYPE, which Read does not have.
      if (opcode === NvmOpcode.write) expect(await wrong({ cdw12: 1 << 20 })).toEqual([Status.invalidField, 50, 4]);
      expect(drive.seen).toEqual([]);
      // LR, PRINFO and STC without protection information, DSM, tags.
      const { status } = await driver.submit(queue, {
        ...{ opcode, nsid: 1, prp1, cdw2: 1, cdw3: 1, mptr: 3 },
        ...{ cdw12: 0xbd00_0000 | 0, cdw13: 0xff, cdw14: 1, cdw15: 1 },
      });
      expect(status).toBe(Status.success);
    },
  );

  test('a list that chains to itself ends', async () => {
    const { driver, queue, ram } = await started(way, { drives: [new TestDrive(2 << 20)] });
    const list = ram.allocate(4096);
    // The last entry of the page points to the page, whose other entries are an address that is not there.
    const entries = new BigUint64Array(512).fill(1n << 45n);
    entries[511] = BigInt(list);
    ram.store(list, new Uint8Array(entries.buffer));
    const read = blockCommand(NvmOpcode.read, 1, 0, 1 << 20, { blockBytes: 512 });
    const { status } = await driver.submit(queue, { ...read, prp1: list, prp2: list + 4088 });
    expect(status).toBe(Status.dataTransferError);
  });

  test('a read-only drive refuses writes', async () => {
    const { driver, queue } = await started(way, { drives: [new TestDrive(1 << 20, { readOnly: true })] });
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    for (const opcode of [NvmOpcode.write, NvmOpcode.writeZeroes]) {
      const command = blockCommand(opcode, 1, 0, 512, { blockBytes: 512 });
      expect((await driver.submit(queue, { ...command, prp1: queue.sqIova })).status).toBe(
        Status.namespaceWriteProtected,
      );
    }
    await driver.flush(queue, 1);
  });

  test('namespaces are drives', async () => {
    const drives = [new TestDrive(1 << 20, { seed: 1 }), new TestDrive(1 << 16, { seed: 2 })];
    const { driver, queue } = await started(way, { drives });
    await driver.write(queue, 2, 1, pattern(512), { blockBytes: 512 });
    expect(drives[1]!.bytes.subarray(512, 1024)).toEqual(pattern(512));
    expect(drives[0]!.bytes.every((byte) => byte === 0)).toBe(true);
  });
});

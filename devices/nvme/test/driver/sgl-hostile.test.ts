import {
  encodeSgl,
  generator,
  NvmeDriver,
  NvmOpcode,
  type SglDescriptor,
  SglPieces,
  SglType,
  sglPointer,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { sglDescriptors } from '../../src/limits.ts';
import { Field, Status } from '../../src/status.ts';
import { outcome, readOf } from '../sgl.ts';
import { started, ways } from './machine.ts';

const { dataBlock, bitBucket, segment, lastSegment } = SglType;

describe.each(ways)('SGLs of a driver that does wrong, %s memory', (way) => {
  test('chains without an end have one', async () => {
    const made = await started(way);
    const { ram } = made;
    const endless = [Status.invalidSglCount, Field.sgl1, 0];
    for (const empty of [0, 1, 20, 300]) {
      const lengthBytes = (empty + 1) * 16;
      const address = ram.allocate(lengthBytes);
      const itself = { type: segment, address, lengthBytes };
      ram.store(address, encodeSgl([...new Array<SglDescriptor>(empty).fill({ type: dataBlock }), itself]));
      expect(await outcome(made, readOf(512), itself)).toEqual(endless);
    }
    // A segment that is longer than memory, and all null descriptors.
    const zeroes = ram.allocate((sglDescriptors + 1) * 16);
    expect(await outcome(made, readOf(512), { type: lastSegment, address: zeroes, lengthBytes: 0xffff_fff0 })).toEqual(
      endless,
    );
    await made.settle();
    expect(made.controller.inFlight).toBe(0);
  });

  test('random descriptors: every command is answered, and no byte is touched that none of them names', async () => {
    const made = await started(way);
    const { driver, queue, ram, drive, settle, controller } = made;
    const random = generator(5);
    const any = (most: number) => Math.floor(random() * most);
    drive.bytes.fill(0xaa);
    const guard = ram.allocate(64 * 1024);
    const data = ram.allocate(64 * 1024);
    const segments = ram.allocate(64 * 1024);
    const seen = new Map<number, number>();
    for (let round = 0; round < 300; round++) {
      const descriptor = (): SglDescriptor => {
        const kind = random();
        const type = kind < 0.6 ? dataBlock : kind < 0.7 ? bitBucket : kind < 0.97 ? 2 + any(2) : any(16);
        const isBlock = type === dataBlock || type === bitBucket;
        const lengthBytes = isBlock ? any(4096) : 16 * any(20) + (random() < 0.02 ? any(16) : 0);
        const [area, step] = isBlock ? [data, 1] : [segments, 16];
        const address = random() < 0.02 ? any(2 ** 40) : area + step * any((56 * 1024) / step);
        return { type, address, lengthBytes, ...(random() < 0.01 ? { subType: any(16) } : {}) };
      };
      ram.store(segments, encodeSgl(Array.from({ length: 4096 }, descriptor)));
      const opcode = [NvmOpcode.read, NvmOpcode.read, NvmOpcode.write, NvmOpcode.compare][any(4)]!;
      const command = { ...readOf(512 * (1 + any(40))), opcode };
      const { status } = await driver.submit(queue, { ...command, ...sglPointer(descriptor()) });
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
    expect(ram.load(guard, 64 * 1024).every((byte) => byte === 0)).toBe(true);
    expect(seen.size).toBeGreaterThan(5);
    expect(seen.get(Status.success)).toBeGreaterThan(5);
    await settle();
    expect(controller.inFlight).toBe(0);
    expect(driver.registers.csts.cfs).toBe(0);
  });

  test('a reset while segments are fetched and data is on its way', async () => {
    const made = await started(way);
    const { slot, driver, ram, settle, pass, controller } = made;
    for (let turns = 0; turns < 12; turns++) {
      const queue = driver.queues.get(1)!;
      for (const opcode of [NvmOpcode.read, NvmOpcode.write, NvmOpcode.compare]) {
        const direction = opcode === NvmOpcode.read ? 'in' : 'out';
        const parts = [700, { bitBucket: 100 }, 3000];
        const sgl = new SglPieces(ram, 128 * 1024, direction, { parts, segmentDescriptors: 9 });
        queue.submit({ ...readOf(128 * 1024), opcode, ...sgl.pointer });
      }
      pass(turns);
      await driver.enable();
      await settle();
      expect(controller.inFlight).toBe(0);
      await driver.createQueues(1);
    }
    expect(driver.registers.csts.cfs).toBe(0);
    // Everything was let go: a reset of the machine has nothing to wait for.
    expect(new NvmeDriver(await slot.reset()).registers.csts.value).toBe(0);
  });
});

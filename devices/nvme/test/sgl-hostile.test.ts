import { DmaMapFlag } from '@sidecard/core';
import { GuestRam, NvmOpcode, SglPieces, SglType, sglPointer } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { type Machine, pattern, started, ways } from './machine.ts';
import { outcome, readOf, stored } from './sgl.ts';

const { dataBlock, segment, lastSegment } = SglType;

describe.each(ways)('SGLs of a driver that does wrong, %s memory', (way) => {
  test('a descriptor is read once', async () => {
    const made = await started(way);
    const { driver, queue, ram, client } = made;
    const sgl = new SglPieces(ram, 64 * 1024, 'in', { parts: [1024], segmentDescriptors: 20 });
    const seen: number[] = [];
    const { dma } = client.wire;
    const { decide } = dma;
    dma.decide = (request) => {
      if (request.kind === 'read') for (let at = 0; at < request.lengthBytes; at += 16) seen.push(request.iova + at);
      return decide(request);
    };
    await driver.command(queue, { ...readOf(64 * 1024), ...sgl.pointer });
    expect(new Set(seen).size).toBe(seen.length);
  });

  /** More guest memory, which goes when the test says so. */
  function moreRam({ native, client }: Machine, flags?: number): GuestRam {
    const options = { iova: 0x8_0000_0000, sizeBytes: 1 << 20 };
    const ram = way === 'mapped' ? GuestRam.shared(native, options) : GuestRam.private(options);
    client.mapRam(ram, flags);
    return ram;
  }

  test('memory that may only be read gives segments and what is written, and takes no data', async () => {
    const made = await started(way);
    const ram = moreRam(made, DmaMapFlag.readable);
    const data = pattern(512);
    const address = ram.allocate(4096);
    ram.store(address, data);
    const block = { type: dataBlock, address, lengthBytes: 512 };
    const list = stored({ ...made, ram }, lastSegment, [block]);
    expect(await outcome(made, { ...readOf(512), opcode: NvmOpcode.write }, list)).toEqual([Status.success]);
    expect(made.drive.bytes.subarray(0, 512)).toEqual(data);
    expect(await outcome(made, readOf(512), list)).toEqual([Status.dataTransferError, 0xff, 0xff]);
    expect(ram.load(address, 512)).toEqual(data);
  });

  test('segments and data that vanish meanwhile', async () => {
    const made = await started(way);
    const { queue, client, ram, settle, driver } = made;
    for (let turns = 0; turns < 10; turns++) {
      const vanishing = moreRam(made);
      const parts = [100, { bitBucket: 50 }, 900];
      const far = new SglPieces(vanishing, 64 * 1024, 'in', { parts, segmentDescriptors: 5 });
      const near = new SglPieces(ram, 64 * 1024, 'in', { parts, segmentDescriptors: 5 });
      const [, ...rest] = near.descriptors;
      // Data that stays, named by segments that go.
      const mixed = stored({ ...made, ram: vanishing }, segment, [
        near.descriptors[0]!,
        stored({ ...made, ram: vanishing }, lastSegment, rest),
      ]);
      const cids = [far.pointer, sglPointer(mixed)].map((pointer) =>
        queue.submit({ ...readOf(64 * 1024), ...pointer }),
      );
      settle(turns);
      client.unmapRam(vanishing);
      for (const cid of cids) {
        const { status } = await queue.completion(cid);
        expect([Status.success, Status.dataTransferError]).toContain(status);
      }
      near.free();
    }
    expect(driver.registers.csts.cfs).toBe(0);
    settle();
    expect(made.controller.inFlight).toBe(0);
  });
});

import { Command, REGION_INFO_BYTES, RegionIndex, RegionInfo } from '@sidecard/core';
import { encodeFields, qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const READ_WRITE = 3;
const MMAP = 4;
const CAPS = 8;

onBothSides('DEVICE_GET_REGION_INFO', qemuOffer, (scene) => {
  test('describes every region', () => {
    const { client } = scene;
    expect(client.regionInfo(0)).toMatchObject({ argsz: 32, sizeBytes: 0x4000, flags: READ_WRITE, areas: [], fds: [] });
    expect(client.regionInfo(1)).toMatchObject({ sizeBytes: 0, flags: 0 });
    expect(client.regionInfo(4)).toMatchObject({ sizeBytes: 0x100, flags: READ_WRITE });
    expect(client.regionInfo(RegionIndex.rom)).toMatchObject({ sizeBytes: 0, flags: 0 });
    expect(client.regionInfo(RegionIndex.config)).toMatchObject({ sizeBytes: 4096, flags: READ_WRITE });
    expect(client.regionInfo(RegionIndex.vga)).toMatchObject({ sizeBytes: 0, flags: 0 });
  });

  test('a region that can be mapped in part has areas and an fd', () => {
    const { client, rig } = scene;
    const info = client.regionInfo(2);
    expect(info).toMatchObject({ argsz: 64, flags: READ_WRITE | MMAP | CAPS, sizeBytes: 0x4000 });
    expect(info.areas).toEqual([{ offset: 0x1000, sizeBytes: 0x2000 }]);
    expect(info.fds).toHaveLength(1);
    // What is stored in the mapping is read by messages, at offset + area.offset of the file.
    const fileOffset = Number(BigInt.asUintN(64, BigInt(info.offset) + BigInt(info.areas[0]!.offset)));
    const mapped = rig.native.map(info.fds[0]!, fileOffset, 0x2000, true) as ArrayBuffer;
    new Uint8Array(mapped)[0x123] = 0x5a;
    expect([...client.regionRead(2, 0x1123, 1)]).toEqual([0x5a]);
    client.regionWrite(2, 0x1124, Uint8Array.of(0x7b));
    expect(new Uint8Array(mapped)[0x124]).toBe(0x7b);
    rig.native.unmap(mapped);
    for (const fd of info.fds) rig.native.close(fd);
  });

  test('a region that can be mapped as a whole needs no areas', () => {
    const info = scene.client.regionInfo(3);
    expect(info).toMatchObject({ argsz: 32, flags: READ_WRITE | MMAP, sizeBytes: 0x1000, offset: 0, areas: [] });
    expect(info.fds).toHaveLength(1);
    for (const fd of info.fds) scene.rig.native.close(fd);
  });

  test('without room for the areas the reply says how much is needed', () => {
    const { client, rig } = scene;
    const info = client.regionInfo(2, REGION_INFO_BYTES);
    expect(info).toMatchObject({ argsz: 64, areas: [] });
    expect(info.flags & CAPS).toBe(0);
    for (const fd of info.fds) rig.native.close(fd);
  });

  test('takes the argsz of user-space NVMe drivers', () => {
    const info = scene.client.regionInfo(2, 4064);
    expect(info.areas).toHaveLength(1);
    for (const fd of info.fds) scene.rig.native.close(fd);
  });

  test('refuses wrong indexes and sizes', () => {
    const { wire } = scene.client;
    const ask = (argsz: number, index: number, bytes = REGION_INFO_BYTES) =>
      refusal(
        wire.request(
          Command.deviceGetRegionInfo,
          encodeFields(RegionInfo, REGION_INFO_BYTES, { argsz, index }).subarray(0, bytes),
        ),
      );
    expect(ask(32, 9)).toBe(EINVAL);
    expect(ask(32, 0xffff_ffff)).toBe(EINVAL);
    expect(ask(31, 0)).toBe(EINVAL);
    expect(ask(0, 0)).toBe(EINVAL);
    expect(ask(32, 0, 31)).toBe(EINVAL);
    expect(ask(32, 0, 0)).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('with No_reply no descriptor is sent', () => {
    const { client } = scene;
    const payload = encodeFields(RegionInfo, REGION_INFO_BYTES, { argsz: 64, index: 2 });
    client.wire.send(Command.deviceGetRegionInfo, payload, { noReply: true });
    expectInStep(client);
    expect(client.regionInfo(0).fds).toEqual([]);
  });
});

import { Command, REGION_IO_FDS_BYTES, RegionIoFds } from '@sidecard/core';
import { encodeFields, type FieldsOf, qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const payload = (fields: FieldsOf<typeof RegionIoFds>) => encodeFields(RegionIoFds, REGION_IO_FDS_BYTES, fields);

onBothSides('DEVICE_GET_REGION_IO_FDS', qemuOffer, (scene) => {
  test('there are no sub-regions', () => {
    const reply = scene.client.wire.request(Command.deviceGetRegionIoFds, payload({ argsz: 1024, index: 2 }));
    expect([...new Uint32Array(reply.payload.buffer)]).toEqual([16, 0, 2, 0]);
    expect(reply.fds).toEqual([]);
  });

  test('refuses wrong fields', () => {
    const ask = (bytes: Uint8Array) => refusal(scene.client.wire.request(Command.deviceGetRegionIoFds, bytes));
    expect(ask(payload({ argsz: 15, index: 0 }))).toBe(EINVAL);
    expect(ask(payload({ argsz: 16, index: 9 }))).toBe(EINVAL);
    expect(ask(payload({ argsz: 16, index: 0, flags: 1 }))).toBe(EINVAL);
    expect(ask(payload({ argsz: 16, index: 0, count: 1 }))).toBe(EINVAL);
    expect(ask(new Uint8Array(15))).toBe(EINVAL);
    expectInStep(scene.client);
  });
});

import { Command, DEVICE_INFO_BYTES, DeviceInfo } from '@sidecard/core';
import { encodeFields, qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

onBothSides('DEVICE_GET_INFO', qemuOffer, (scene) => {
  test('says that it is a PCI device that can be reset', () => {
    expect(scene.client.deviceInfo()).toEqual({ argsz: 16, flags: 3, numRegions: 9, numIrqs: 5 });
  });

  test('takes a larger argsz and trailing bytes', () => {
    const payload = new Uint8Array(100);
    payload.set(encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: 4096 }));
    const reply = scene.client.wire.request(Command.deviceGetInfo, payload);
    expect([...new Uint32Array(reply.payload.buffer)]).toEqual([16, 3, 9, 5]);
  });

  test('refuses less than it answers', () => {
    const { wire } = scene.client;
    const short = encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: 15 });
    expect(refusal(wire.request(Command.deviceGetInfo, short))).toBe(EINVAL);
    expect(refusal(wire.request(Command.deviceGetInfo, new Uint8Array(15)))).toBe(EINVAL);
    expect(refusal(wire.request(Command.deviceGetInfo))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('echoes any id, the same one twice too', () => {
    const { wire } = scene.client;
    const payload = encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: 16 });
    for (const id of [0, 0xffff, 7, 7]) wire.send(Command.deviceGetInfo, payload, { id });
    for (const id of [0, 0xffff, 7, 7]) expect(wire.reply(id)).toMatchObject({ id, command: 4, flags: 1, error: 0 });
  });

  test('with No_reply it gets none, also for an error', () => {
    const { wire } = scene.client;
    wire.send(Command.deviceGetInfo, encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: 16 }), { noReply: true });
    wire.send(Command.deviceGetInfo, new Uint8Array(0), { noReply: true });
    expectInStep(scene.client);
  });
});

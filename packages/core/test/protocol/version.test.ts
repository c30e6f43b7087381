import { Command, MAX_VERSION_REPLY_BYTES } from '@sidecard/core';
import { encodeVersion, qemuOffer, type VersionOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, ENOTSUP, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

onBothSides('VERSION', null, (scene) => {
  test('agrees with what QEMU 11.1 sends, in a reply that fits its buffer', () => {
    const reply = scene.client.wire.request(Command.version, encodeVersion(qemuOffer));
    expect(reply.error).toBe(0);
    expect(reply.payload.length + 16).toBeLessThanOrEqual(MAX_VERSION_REPLY_BYTES);
    expect(reply.payload.at(-1)).toBe(0);
    expect(reply.fds).toEqual([]);
    const { capabilities } = JSON.parse(new TextDecoder().decode(reply.payload.subarray(4, -1)));
    expect(capabilities).toEqual({
      max_msg_fds: 16,
      max_data_xfer_size: 1048576,
      max_dma_maps: 65535,
      pgsizes: 4096,
      write_multiple: true,
    });
  });

  test('answers the minor version proposed, up to its own', () => {
    expect(scene.client.version({ minor: 0 })).toMatchObject({ major: 0, minor: 0 });
    scene.client.close();
    scene.client = scene.rig.connect();
    expect(scene.client.version({ minor: 7 })).toMatchObject({ major: 0, minor: 1 });
  });

  test.each<[string, VersionOffer]>([
    ['no JSON', {}],
    ['empty JSON', { data: '' }],
    ['an empty object', { data: {} }],
    ['capabilities that are empty', { data: { capabilities: {} } }],
    ['spaces and unknown names', { data: ' {"capabilities": {"teleport": true}, "x": 1} ' }],
    ['no fds taken', { data: { capabilities: { max_msg_fds: 0 } } }],
  ])('takes %s', (_, offer) => {
    const { data } = scene.client.version(offer);
    expect(data.capabilities).not.toHaveProperty('write_multiple');
    expect(data.capabilities).not.toHaveProperty('twin_socket');
    expectInStep(scene.client);
  });

  test('takes JSON without its final NUL', () => {
    const payload = encodeVersion({ data: { capabilities: { write_multiple: true } } }).subarray(0, -1);
    const reply = scene.client.wire.request(Command.version, payload);
    expect(new TextDecoder().decode(reply.payload)).toContain('write_multiple');
  });

  test.each<[string, Uint8Array, number]>([
    ['no payload', new Uint8Array(0), EINVAL],
    ['half a version', new Uint8Array(3), EINVAL],
    ['another major version', encodeVersion({ major: 1 }), ENOTSUP],
    ['broken JSON', encodeVersion({ data: '{"capabilities":' }), EINVAL],
    ['JSON that is no object', encodeVersion({ data: '[1]' }), EINVAL],
    ['capabilities that are no object', encodeVersion({ data: '{"capabilities":3}' }), EINVAL],
    ['a negative number', encodeVersion({ data: '{"capabilities":{"max_msg_fds":-1}}' }), EINVAL],
    ['a size that carries nothing', encodeVersion({ data: '{"capabilities":{"max_data_xfer_size":1}}' }), EINVAL],
    ['text for a number', encodeVersion({ data: '{"capabilities":{"max_data_xfer_size":"1M"}}' }), EINVAL],
  ])('refuses %s, and ends the connection', (_, payload, errno) => {
    const { wire } = scene.client;
    expect(refusal(wire.request(Command.version, payload))).toBe(errno);
    expect(() => wire.request(Command.deviceGetInfo)).toThrow(/hung up/);
  });

  test('is the first message: everything before it is refused', () => {
    const { wire } = scene.client;
    for (const command of [Command.dmaMap, Command.deviceGetInfo, Command.regionRead, Command.deviceReset, 99]) {
      expect(refusal(wire.request(command, new Uint8Array(64)))).toBe(EINVAL);
    }
    scene.client.version(qemuOffer);
    expectInStep(scene.client);
  });

  test('is agreed on once', () => {
    scene.client.version(qemuOffer);
    expect(refusal(scene.client.wire.request(Command.version, encodeVersion(qemuOffer)))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('with No_reply it gets none', () => {
    scene.client.wire.send(Command.version, encodeVersion(qemuOffer), { noReply: true });
    expectInStep(scene.client);
  });
});

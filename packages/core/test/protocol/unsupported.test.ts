import { Command, HeaderFlag } from '@sidecard/core';
import { encodeMessage, qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, ENOTSUP, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

onBothSides('what is not offered', qemuOffer, (scene) => {
  test.each([
    ['DEVICE_FEATURE', Command.deviceFeature],
    ['MIG_DATA_READ', Command.migDataRead],
    ['MIG_DATA_WRITE', Command.migDataWrite],
    ['command 0', 0],
    ['command 14', 14],
    ['command 19', 19],
    ['command 65535', 0xffff],
  ])('%s is refused, and its payload consumed', (_, command) => {
    for (const bytes of [0, 8, 5000, 100_000]) {
      expect(refusal(scene.client.wire.request(command, new Uint8Array(bytes).fill(0x11)))).toBe(ENOTSUP);
    }
    expectInStep(scene.client);
  });

  test('with No_reply an unknown command gets none', () => {
    scene.client.wire.send(99, new Uint8Array(50), { noReply: true });
    expectInStep(scene.client);
  });

  test.each([
    ['DMA_READ', Command.dmaRead],
    ['DMA_WRITE', Command.dmaWrite],
  ])('%s is the server\u2019s to send', (_, command) => {
    expect(refusal(scene.client.wire.request(command, new Uint8Array(32)))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('a message that is neither command nor reply', () => {
    for (const type of [2, 3, 15]) {
      expect(refusal(scene.client.wire.request(Command.deviceGetInfo, new Uint8Array(16), { flags: type }))).toBe(
        EINVAL,
      );
    }
    expectInStep(scene.client);
  });

  test('replies that nobody waits for are dropped, with their descriptors', () => {
    const { client, rig } = scene;
    const fd = rig.native.eventfd();
    for (const command of [Command.dmaRead, Command.dmaWrite, Command.version, 0x1234]) {
      for (let id = 0; id < 70; id++) {
        client.wire.sendBytes(encodeMessage(command, new Uint8Array(64), { id, flags: HeaderFlag.reply }), [fd]);
      }
    }
    rig.native.close(fd);
    expectInStep(client);
  });

  test('descriptors on commands that take none are dropped', () => {
    const { client, rig } = scene;
    const fds = Array.from({ length: 16 }, () => rig.native.eventfd());
    expect(refusal(client.wire.request(Command.deviceFeature, new Uint8Array(8), { fds }))).toBe(ENOTSUP);
    expect(client.wire.request(Command.deviceReset, new Uint8Array(0), { fds }).error).toBe(0);
    for (const fd of fds) rig.native.close(fd);
    expectInStep(client);
  });

  test('the error field of a command is reserved', () => {
    const { wire } = scene.client;
    wire.sendBytes(encodeMessage(Command.deviceReset, new Uint8Array(0), { id: 77, error: 5 }));
    expect(wire.reply(77)).toMatchObject({ flags: HeaderFlag.reply, error: 0 });
  });
});

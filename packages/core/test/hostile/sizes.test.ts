import { Command, HeaderFlag, MAX_MESSAGE_BYTES, REGION_ACCESS_BYTES, RegionAccess } from '@sidecard/core';
import { encodeFields, encodeMessage } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { expectHangUp, expectInStep, victim } from './victim.ts';

const scene = victim();
const EINVAL = 22;

test.each([0, 1, 15, MAX_MESSAGE_BYTES + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])(
  'a message that says it has %i bytes: an error reply, then the end',
  (sizeBytes) => {
    const client = scene.client();
    const id = client.wire.send(Command.deviceGetInfo, new Uint8Array(16), { sizeBytes });
    expect(client.wire.reply(id)).toMatchObject({ flags: HeaderFlag.reply | HeaderFlag.error, error: EINVAL });
    expectHangUp(client);
  },
);

test('the same with No_reply, or as a reply: the end alone', () => {
  for (const flags of [HeaderFlag.noReply, HeaderFlag.reply]) {
    const client = scene.client();
    client.wire.send(Command.deviceGetInfo, new Uint8Array(16), { sizeBytes: 3, flags });
    expectHangUp(client);
    expect(client.wire.replies).toEqual([]);
  }
});

test('the same before VERSION', () => {
  const client = scene.stranger();
  client.wire.send(Command.version, new Uint8Array(4), { sizeBytes: 0xffff_fff0 });
  expectHangUp(client);
});

test('what comes behind an impossible size is not executed', () => {
  const client = scene.client();
  const write = new Uint8Array(REGION_ACCESS_BYTES + 4);
  write.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, { region: 0, offset: 4, count: 4 }));
  write.fill(0x77, 16);
  const bad = encodeMessage(Command.deviceGetInfo, new Uint8Array(16), { sizeBytes: 2 });
  client.wire.sendBytes(Uint8Array.from([...bad, ...encodeMessage(Command.regionWrite, write, { id: 9 })]));
  expectHangUp(client);
  const next = scene.client();
  expect([...next.regionRead(0, 4, 4)]).not.toEqual([0x77, 0x77, 0x77, 0x77]);
});

test('the largest message there is', () => {
  const client = scene.client();
  const reply = client.wire.request(Command.deviceFeature, new Uint8Array(MAX_MESSAGE_BYTES - 16));
  expect(reply.error).toBe(95);
  expectInStep(client);
});

test('a message that says it is shorter than it is puts the client out of step, and nobody else', () => {
  const client = scene.client();
  // The rest is taken for a message of its own, of 0 bytes.
  client.wire.send(Command.deviceGetInfo, new Uint8Array(32), { sizeBytes: 32 });
  expectHangUp(client);
});

test('a message that says it is longer than it is waits for the rest', () => {
  const client = scene.client();
  const id = client.wire.send(Command.deviceReset, new Uint8Array(0), { sizeBytes: 32 });
  for (let i = 0; i < 50; i++) client.wire.turn();
  expect(client.wire.replies).toEqual([]);
  client.wire.sendBytes(new Uint8Array(16));
  expect(client.wire.reply(id).error).toBe(0);
  expectInStep(client);
});

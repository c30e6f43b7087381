import { readFileSync } from 'node:fs';
import { Command, DEVICE_INFO_BYTES, DeviceInfo, REGION_ACCESS_BYTES, RegionAccess } from '@sidecard/core';
import { encodeFields, encodeMessage } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { expectHangUp, expectInStep, victim } from './victim.ts';

const scene = victim();

const residentMiB = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${scene.daemon.pid}/status`, 'utf8'))![1]) / 1024;

test('requests without reading the replies: the server stops reading, and goes on when they are taken', async () => {
  const client = scene.client();
  const { transport } = client.wire;
  const fields = { region: 5, offset: 0, count: 0x10000 };
  const read = encodeMessage(Command.regionRead, encodeFields(RegionAccess, REGION_ACCESS_BYTES, fields), { id: 1 });
  const before = residentMiB();
  let sent = 0;
  let patience = 200;
  while (patience > 0 && sent < 100_000) {
    const count = transport.send(read, []);
    if (count === read.length) sent++;
    else {
      // A piece of a message: the rest has to go as well, or the stream is out of step.
      expect(count).toBe(0);
      patience--;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  expect(sent).toBeLessThan(100_000);
  expect(residentMiB() - before).toBeLessThan(128);
  for (let i = 0; i < sent; i++) expect(client.wire.reply(1).payload).toHaveLength(0x10010);
  expectInStep(client);
}, 30_000);

test('a hundred thousand small requests at once', () => {
  const client = scene.client();
  const payload = encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: 16 });
  const message = encodeMessage(Command.deviceGetInfo, payload, { id: 2 });
  const many = new Uint8Array(message.length * 1000);
  for (let i = 0; i < 1000; i++) many.set(message, i * message.length);
  for (let i = 0; i < 100; i++) client.wire.sendBytes(many);
  client.wire.send(Command.deviceGetInfo, payload, { id: 3 });
  client.wire.reply(3, { timeoutMs: 10_000 });
  expect(client.wire.replies).toHaveLength(100_000);
  client.wire.replies.length = 0;
}, 30_000);

test.each([1, 2, 3, 4, 5])('garbage, %i', (seed) => {
  const client = seed % 2 === 0 ? scene.stranger() : scene.client();
  const bytes = new Uint8Array(5000);
  let state = seed * 2654435761;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 24;
  }
  // The top byte of the size: it can only be too large.
  bytes[7] = 0xff;
  client.wire.transport.send(bytes, []);
  expectHangUp(client);
});

test('someone who talks HTTP', () => {
  const client = scene.stranger();
  client.wire.transport.send(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), []);
  expectHangUp(client);
});

import { Command } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import { InProcessServer, qemuOffer, until, VfioUserClient } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EggTimer } from './driver/egg-timer.ts';

test('what a client asks, and what it may not', async () => {
  const server = new InProcessServer({ native: new FakeNative() }, (host) => new EggTimer(host));
  const client = new VfioUserClient(server.connect()!); // Of another process: new VfioUserClient(daemon.connect())
  client.version(qemuOffer);
  expect([...client.regionRead(0, 0, 4)]).toEqual([0x01, 0x00, 0x90, 0xe9]);
  expect(() => client.regionRead(0, 0x1000, 4)).toThrow('EINVAL');
  client.wire.send(Command.regionRead, new Uint8Array(16), { sizeBytes: 8 }); // A message that is shorter than its header
  await until(client.wire, () => client.wire.ended, 'the server to hang up');
  const next = new VfioUserClient(server.connect()!);
  next.version(qemuOffer);
  expect(next.deviceInfo()).toMatchObject({ numRegions: 9, numIrqs: 5 });
  await server.close();
});

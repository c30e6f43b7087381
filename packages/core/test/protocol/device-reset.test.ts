import { Command, HeaderFlag, RegionIndex } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import { InProcessServer, qemuOffer, VfioUserClient } from '@sidecard/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { Exerciser } from '../exerciser/exerciser.ts';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, onBothSides } from '../exerciser/rig.ts';

const ETIMEDOUT = 110;

onBothSides('DEVICE_RESET', qemuOffer, (scene) => {
  let guest: ExerciserGuest;
  beforeEach(() => {
    guest = new ExerciserGuest(scene.client);
  });

  test('brings registers and config space to their reset values', () => {
    guest.registers.scratch = 7;
    guest.setBusMaster(true);
    const resets = guest.registers.resets;
    scene.client.reset();
    expect(guest.registers.resets).toBe(resets + 1);
    expect(guest.registers.scratch).toBe(0);
    expect([...scene.client.regionRead(RegionIndex.config, 4, 2)]).toEqual([0, 0]);
  });

  test('has no payload either way; one that comes is tolerated', () => {
    const reply = scene.client.wire.request(Command.deviceReset, new Uint8Array(40));
    expect(reply).toMatchObject({ flags: HeaderFlag.reply, error: 0, payload: new Uint8Array(0) });
  });

  test('keeps DMA maps', () => {
    scene.client.dmaMap({ iova: 0x1000, sizeBytes: 4096 });
    scene.client.reset();
    expect(() => scene.client.dmaMap({ iova: 0x1000, sizeBytes: 4096 })).toThrow('EEXIST');
  });

  test('waits for requests in flight; other messages are answered meanwhile', () => {
    guest.registers.inFlight = 1;
    const waiting = scene.client.wire.send(Command.deviceReset);
    expect(guest.registers.inFlight).toBe(1);
    expectInStep(scene.client);
    guest.registers.inFlight = 0;
    expect(scene.client.wire.reply(waiting)).toMatchObject({ flags: HeaderFlag.reply, error: 0 });
  });

  test('a function level reset is answered when requests in flight have ended', () => {
    const { client } = scene;
    const express = capability(client, 0x10);
    guest.registers.scratch = 9;
    guest.registers.inFlight = 1;
    const payload = new Uint8Array(18);
    new DataView(payload.buffer).setUint32(0, express + 8, true);
    new DataView(payload.buffer).setUint32(8, RegionIndex.config, true);
    payload.set([2, 0, 0, 0, 0, 0x80], 12);
    const waiting = client.wire.send(Command.regionWrite, payload);
    expect(guest.registers.scratch).toBe(0);
    expect(client.wire.replies).toEqual([]);
    guest.registers.inFlight = 0;
    expect(client.wire.reply(waiting).error).toBe(0);
  });

  test('with No_reply it is done and not answered', () => {
    const resets = guest.registers.resets;
    scene.client.wire.send(Command.deviceReset, new Uint8Array(0), { noReply: true });
    expect(guest.registers.resets).toBe(resets + 1);
    guest.registers.inFlight = 1;
    scene.client.wire.send(Command.deviceReset, new Uint8Array(0), { noReply: true });
    guest.registers.inFlight = 0;
    expectInStep(scene.client);
  });
});

describe('a drain that takes too long', () => {
  test('is answered with an error, 4 s after the oldest message of the row', () => {
    const native = new FakeNative();
    const server = new InProcessServer({ native }, (host) => new Exerciser(host, native));
    const client = new VfioUserClient(server.connect()!);
    client.version(qemuOffer);
    const guest = new ExerciserGuest(client);
    guest.registers.inFlight = 1;
    const first = client.wire.send(Command.deviceReset);
    server.settle();
    server.clock.advance(3000);
    const second = client.wire.send(Command.deviceReset);
    server.settle();
    server.clock.advance(999);
    expectInStep(client);
    server.clock.advance(1);
    server.settle();
    for (const id of [first, second]) expect(client.wire.reply(id)).toMatchObject({ flags: 0x21, error: ETIMEDOUT });
    expect(guest.registers.failures).toBe(1);
    expect(server.clock.timers).toBe(0);
    // The end of the old requests is no answer any more.
    guest.registers.inFlight = 0;
    expectInStep(client);
    client.reset();
  });
});

function capability(client: VfioUserClient, id: number): number {
  let at = client.regionRead(RegionIndex.config, 0x34, 1)[0]!;
  while (at !== 0 && client.regionRead(RegionIndex.config, at, 1)[0] !== id) {
    at = client.regionRead(RegionIndex.config, at + 1, 1)[0]!;
  }
  return at;
}

import { Command, type VersionData } from '@sidecard/core';
import { encodeMessage, GuestRam, type VersionOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, onBothSides } from '../exerciser/rig.ts';

const offer = (more: VersionData['capabilities'] = {}): VersionOffer => ({
  data: { capabilities: { max_msg_fds: 8, twin_socket: { supported: true }, ...more } },
});

onBothSides('the twin socket', null, (scene) => {
  test('carries the server\u2019s requests and their replies', () => {
    const { client, rig } = scene;
    const { twinFd, data, fds } = client.version(offer(), rig.openTwin);
    expect(data.capabilities?.twin_socket).toEqual({ supported: true, fd_index: 0 });
    expect(fds).toEqual([twinFd]);
    const ram = GuestRam.private({ sizeBytes: 128 * 1024 });
    client.mapRam(ram);
    const guest = new ExerciserGuest(client);
    guest.setBusMaster(true);
    const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => i % 251);
    expect(guest.store(ram.iova, bytes)).toBe(true);
    expect(guest.load(ram.iova, bytes.length)).toEqual(bytes);
    expect(client.wire.dma.count).toBeGreaterThan(3);
    rig.native.close(twinFd);
  });

  test('is not made for a client that does not ask, or takes no fds', () => {
    const { client, rig } = scene;
    expect(client.version({ data: { capabilities: { twin_socket: {} } } }).twinFd).toBe(-1);
    client.close();
    scene.client = rig.connect();
    const { twinFd, fds } = scene.client.version(offer({ max_msg_fds: 0 }));
    expect({ twinFd, fds }).toEqual({ twinFd: -1, fds: [] });
  });

  test('that is closed ends the connection', () => {
    const { client, rig } = scene;
    const { twinFd } = client.version(offer());
    rig.native.close(twinFd);
    expect(() => {
      for (let i = 0; i < 1000; i++) client.deviceInfo();
    }).toThrow(/hung up/);
  });

  test('takes no commands of the client, and garbage on it ends the connection', () => {
    const { client, rig } = scene;
    const { twinFd } = client.version(offer());
    const twin = rig.openTwin(twinFd);
    twin.send(encodeMessage(Command.deviceReset, new Uint8Array(0)), []);
    expectInStep(client);
    twin.send(new Uint8Array(16).fill(0xff), []);
    expect(() => {
      for (let i = 0; i < 1000; i++) client.deviceInfo();
    }).toThrow(/hung up/);
    twin.close();
  });
});

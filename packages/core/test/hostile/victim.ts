import { loadNative, type Native } from '@sidecard/native';
import {
  type DaemonProcess,
  Disconnected,
  GuestRam,
  type Holdings,
  qemuOffer,
  type VfioUserClient,
} from '@sidecard/testing';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { clientOf, startExerciser } from '../exerciser/daemon.ts';
import { ExerciserGuest } from '../exerciser/guest.ts';

/** A daemon that hostile clients are let loose on. */
export interface Victim {
  readonly native: Native;
  daemon: DaemonProcess;
  /** A client that has negotiated as QEMU does; closed after the test. */
  client(): VfioUserClient;
  /** One that has not negotiated. */
  stranger(): VfioUserClient;
}

/**
 * One daemon for the tests of a file. After each test it still runs, has complained of nothing, holds no descriptor and no mapping more than
 * before, and serves the next client.
 */
export function victim(drainMs?: number): Victim {
  let before: Holdings;
  let clients: VfioUserClient[] = [];
  const native = loadNative();
  const scene: Victim = {
    native,
    daemon: undefined as unknown as DaemonProcess,
    stranger: () => {
      const client = clientOf(scene.daemon);
      clients.push(client);
      return client;
    },
    client: () => {
      const client = scene.stranger();
      client.version(qemuOffer);
      return client;
    },
  };
  beforeAll(async () => {
    scene.daemon = await startExerciser(drainMs);
    const sockets = () => scene.daemon.holdings().fds.filter((fd) => fd.startsWith('socket')).length;
    const unconnected = sockets();
    // The first client has the daemon open what it opens once.
    serveOne(scene);
    await idle(scene.daemon, () => sockets() <= unconnected);
    await new Promise((resolve) => setTimeout(resolve, 100));
    before = scene.daemon.holdings();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    const same = () => JSON.stringify(scene.daemon.holdings()) === JSON.stringify(before);
    await idle(scene.daemon, () => !scene.daemon.running || same());
    expect(scene.daemon.running, scene.daemon.log).toBe(true);
    expect(scene.daemon.holdings()).toEqual(before);
    // A random write may have hit the register that fails the device, which says so.
    expect(scene.daemon.log.replaceAll(/^The device cannot go on .*\n/gm, '')).toBe('');
    serveOne(scene);
    clients = [];
  });
  afterAll(() => scene.daemon.remove());
  return scene;
}

/** A well-behaved client from beginning to end, with shared memory. */
function serveOne({ daemon, native }: Victim): void {
  const client = clientOf(daemon);
  const ram = GuestRam.shared(native, { sizeBytes: 65536 });
  try {
    client.version(qemuOffer);
    client.reset();
    client.mapRam(ram);
    const guest = new ExerciserGuest(client);
    guest.setBusMaster(true);
    const bytes = Uint8Array.from({ length: 3000 }, () => Math.random() * 256);
    expect(guest.store(ram.iova + 77, bytes)).toBe(true);
    expect(ram.load(ram.iova + 77, 3000)).toEqual(bytes);
  } finally {
    client.close();
    ram.close();
  }
}

async function idle(daemon: DaemonProcess, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1500 && daemon.running && !condition(); i++)
    await new Promise((resolve) => setTimeout(resolve, 2));
}

/** That the server ends the connection. */
export function expectHangUp(client: VfioUserClient, timeoutMs = 3000): void {
  const deadline = Date.now() + timeoutMs;
  try {
    while (!client.wire.ended && Date.now() < deadline) client.wire.turn();
  } catch (error) {
    if (!(error instanceof Disconnected)) throw error;
  }
  expect(client.wire.ended, 'the server has hung up').toBe(true);
}

export function expectInStep(client: VfioUserClient): void {
  expect(client.deviceInfo()).toMatchObject({ numRegions: 9 });
  expect(client.wire.replies).toEqual([]);
}

import { ftruncateSync } from 'node:fs';
import { GuestRam } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, victim } from './victim.ts';

const scene = victim();
const PAGE = 4096;

function sharing(sizeBytes = 16 * PAGE) {
  const client = scene.client();
  const ram = GuestRam.shared(scene.native, { sizeBytes });
  client.mapRam(ram);
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  return { client, ram, guest };
}

test.each([0, PAGE, PAGE + 100])(
  'a memory file cut to %i bytes: DMA behind its end faults, the daemon lives',
  (left) => {
    const { client, ram, guest } = sharing();
    expect(guest.load(ram.iova, 100)).not.toBeNull();
    ftruncateSync(ram.fd, left);
    expect(guest.load(ram.iova + 8 * PAGE, 5000)).toBeNull();
    expect(guest.store(ram.iova + 8 * PAGE, new Uint8Array(5000))).toBe(false);
    expectInStep(client);
    client.unmapRam(ram);
    expectInStep(client);
    ftruncateSync(ram.fd, ram.sizeBytes);
    ram.close();
  },
);

test('a memory file cut while I/O holds it', () => {
  const { client, ram, guest } = sharing();
  expect(guest.pin(ram.iova, 8 * PAGE)).toBe(true);
  ftruncateSync(ram.fd, 0);
  guest.unpin();
  expect(guest.store(ram.iova + PAGE, new Uint8Array(100))).toBe(false);
  expectInStep(client);
  ftruncateSync(ram.fd, ram.sizeBytes);
  ram.close();
});

test('one file mapped and unmapped ten thousand times', () => {
  const { client, ram } = sharing();
  const { wire } = client;
  for (let i = 0; i < 10_000; i++) {
    client.dmaMap({ iova: 0x5000, sizeBytes: PAGE, fd: ram.fd, offset: (i % 16) * PAGE });
    client.dmaUnmap(0x5000, PAGE);
  }
  expect(wire.replies).toEqual([]);
  ram.close();
});

test('as many maps as there may be, and one more', () => {
  const client = scene.client();
  const ram = GuestRam.shared(scene.native, { sizeBytes: 16 * PAGE });
  for (let i = 0; i < 65_535; i++) {
    // Every other page, so that no two can be joined.
    const fd = i % 3 === 0 ? -1 : ram.fd;
    client.dmaMap({ iova: i * 2 * PAGE, sizeBytes: PAGE, fd, offset: fd < 0 ? 0 : (i % 16) * PAGE });
  }
  expect(() => client.dmaMap({ iova: 2 ** 40, sizeBytes: PAGE })).toThrow('ENOSPC');
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  ram.store(ram.iova + (65_534 % 16) * PAGE, Uint8Array.of(4, 3, 2));
  expect([...guest.load(65_534 * 2 * PAGE, 3)!]).toEqual([4, 3, 2]);
  client.dmaUnmapAll();
  client.dmaMap({ iova: 2 ** 40, sizeBytes: PAGE });
  ram.close();
}, 60_000);

test('a thousand files at once, then gone', () => {
  const client = scene.client();
  for (let i = 0; i < 500; i++) {
    const fd = scene.native.memfd('one-of-many', PAGE);
    client.dmaMap({ iova: i * PAGE, sizeBytes: PAGE, fd });
    scene.native.close(fd);
  }
  expectInStep(client);
});

test('a file of 1 TiB, sparse', () => {
  const client = scene.client();
  const fd = scene.native.memfd('vast', 2 ** 40);
  client.dmaMap({ iova: 0, sizeBytes: 2 ** 40, fd });
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  expect(guest.store(2 ** 39 + 5, Uint8Array.of(1, 2, 3))).toBe(true);
  expect([...guest.load(2 ** 39 + 5, 3)!]).toEqual([1, 2, 3]);
  scene.native.close(fd);
});

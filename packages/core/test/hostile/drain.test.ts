import { Command, DMA_UNMAP_BYTES, DmaUnmap, HeaderFlag } from '@sidecard/core';
import { encodeFields, GuestRam } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, victim } from './victim.ts';

const ETIMEDOUT = 110;
const DRAIN_MS = 150;
const scene = victim(DRAIN_MS);

test('I/O that never ends: DEVICE_RESET is answered with an error in time, and the device is failed', () => {
  const client = scene.client();
  const guest = new ExerciserGuest(client);
  const failures = guest.registers.failures;
  guest.registers.inFlight = 1;
  const before = performance.now();
  const reply = client.wire.request(Command.deviceReset);
  expect(reply).toMatchObject({ flags: HeaderFlag.reply | HeaderFlag.error, error: ETIMEDOUT });
  expect(performance.now() - before).toBeGreaterThan(DRAIN_MS - 10);
  expect(guest.registers.failures).toBe(failures + 1);
  guest.registers.inFlight = 0;
  client.reset();
});

test('I/O that never ends: a row of DMA_UNMAPs is answered as one, from the oldest on', () => {
  const client = scene.client();
  const ram = GuestRam.shared(scene.native, { sizeBytes: 4 * 4096 });
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  client.mapRam(ram);
  expect(guest.pin(ram.iova, 100)).toBe(true);
  const unmap = () => {
    const { iova, sizeBytes } = ram;
    return client.wire.send(Command.dmaUnmap, encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { argsz: 24, iova, sizeBytes }));
  };
  const first = unmap();
  const reset = client.wire.send(Command.deviceReset);
  // The reset lets the pin go: both are answered at once.
  for (const id of [first, reset]) expect(client.wire.reply(id).error).toBe(0);
  client.mapRam(ram);
  guest.setBusMaster(true);
  guest.pin(ram.iova, 100);
  const late = unmap();
  expect(client.wire.reply(late)).toMatchObject({ flags: HeaderFlag.reply | HeaderFlag.error, error: ETIMEDOUT });
  expectInStep(client);
  guest.unpin();
  expectInStep(client);
  // Unmapped it is all the same.
  client.mapRam(ram);
  ram.close();
});

test('a client that hangs up while its reset waits', () => {
  const client = scene.client();
  new ExerciserGuest(client).registers.inFlight = 1;
  client.wire.send(Command.deviceReset);
  client.close();
  // Longer than the drain takes: its end must not meet the next client.
  const next = scene.client();
  const deadline = performance.now() + 2 * DRAIN_MS;
  while (performance.now() < deadline) expectInStep(next);
});

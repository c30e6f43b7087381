import { Command, DMA_UNMAP_BYTES, DmaUnmap, DmaUnmapFlag } from '@sidecard/core';
import { encodeFields, type FieldsOf, GuestRam, qemuOffer } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { EINVAL, ENOENT, ENOTSUP, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const PAGE = 4096;
const IOVA = 0x1_0000_0000;

onBothSides('DMA_UNMAP', qemuOffer, (scene) => {
  let ram: GuestRam;
  let guest: ExerciserGuest;
  beforeEach(() => {
    ram = GuestRam.shared(scene.rig.native, { iova: IOVA, sizeBytes: 16 * PAGE });
    scene.client.mapRam(ram);
    guest = new ExerciserGuest(scene.client);
    guest.setBusMaster(true);
  });
  afterEach(() => ram.close());

  const payload = (fields: FieldsOf<typeof DmaUnmap>) =>
    encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { argsz: 24, iova: IOVA, sizeBytes: 16 * PAGE, ...fields });
  const unmap = (fields: FieldsOf<typeof DmaUnmap>) => scene.client.wire.request(Command.dmaUnmap, payload(fields));

  test('echoes the entry, and the region is gone', () => {
    expect(guest.load(IOVA, 8)).not.toBeNull();
    expect(unmap({}).payload).toEqual(payload({}));
    expect(guest.load(IOVA, 8)).toBeNull();
    expect(refusal(unmap({}))).toBe(ENOENT);
    scene.client.mapRam(ram);
    expect(guest.load(IOVA, 8)).not.toBeNull();
  });

  test('all of them', () => {
    scene.client.dmaMap({ iova: 0x5000, sizeBytes: PAGE });
    scene.client.dmaMap({ iova: 0x9000, sizeBytes: PAGE, fd: ram.fd });
    const all = { iova: 0, sizeBytes: 0, flags: DmaUnmapFlag.all };
    expect(unmap(all).payload).toEqual(payload(all));
    expect(guest.load(0x9000, 8)).toBeNull();
    expect(guest.load(IOVA, 8)).toBeNull();
    expect(unmap(all).error).toBe(0);
  });

  test.each<[string, FieldsOf<typeof DmaUnmap>, number]>([
    ['a part of a region', { sizeBytes: PAGE }, EINVAL],
    ['more than a region', { sizeBytes: 17 * PAGE }, EINVAL],
    ['the inside of a region', { iova: IOVA + PAGE, sizeBytes: PAGE }, EINVAL],
    ['what was never mapped', { iova: 0x7000, sizeBytes: PAGE }, ENOENT],
    ['a short argsz', { argsz: 23 }, EINVAL],
    ['a dirty bitmap', { flags: DmaUnmapFlag.getDirtyBitmap }, ENOTSUP],
    ['unknown flags', { flags: 0x80 }, ENOTSUP],
    ['all, with an address', { flags: DmaUnmapFlag.all, sizeBytes: 0 }, EINVAL],
    ['all, with a size', { flags: DmaUnmapFlag.all, iova: 0 }, EINVAL],
  ])('refuses %s', (_, fields, errno) => {
    expect(refusal(unmap(fields))).toBe(errno);
    expect(guest.load(IOVA, 8)).not.toBeNull();
    expectInStep(scene.client);
  });

  test('refuses a short payload', () => {
    const { wire } = scene.client;
    for (const length of [0, 8, 23]) {
      expect(refusal(wire.request(Command.dmaUnmap, payload({}).subarray(0, length)))).toBe(EINVAL);
    }
  });

  test('waits for I/O in flight on its own region, and for no other', () => {
    const { wire } = scene.client;
    scene.client.dmaMap({ iova: 0x9000, sizeBytes: PAGE, fd: ram.fd });
    expect(guest.pin(IOVA + 100, 5000)).toBe(true);
    const waiting = wire.send(Command.dmaUnmap, payload({}));
    scene.client.dmaUnmap(0x9000, PAGE);
    expectInStep(scene.client);
    // New accesses fault already.
    expect(guest.load(IOVA, 8)).toBeNull();
    guest.unpin();
    expect(wire.reply(waiting).payload).toEqual(payload({}));
  });

  test('an address can be mapped again while its old region drains', () => {
    const { wire } = scene.client;
    guest.pin(IOVA, 100);
    const waiting = wire.send(Command.dmaUnmap, payload({}));
    scene.client.mapRam(ram);
    expect(guest.load(IOVA, 8)).not.toBeNull();
    guest.unpin();
    expect(wire.reply(waiting).error).toBe(0);
    expect(guest.load(IOVA, 8)).not.toBeNull();
  });

  test('all waits for all', () => {
    const { wire } = scene.client;
    guest.pin(IOVA, 100);
    const all = payload({ iova: 0, sizeBytes: 0, flags: DmaUnmapFlag.all });
    const waiting = wire.send(Command.dmaUnmap, all);
    expectInStep(scene.client);
    guest.unpin();
    expect(wire.reply(waiting).payload).toEqual(all);
  });

  test('with No_reply it is done and not answered, also when it had to wait', () => {
    const { wire } = scene.client;
    guest.pin(IOVA, 100);
    wire.send(Command.dmaUnmap, payload({}), { noReply: true });
    expectInStep(scene.client);
    guest.unpin();
    expectInStep(scene.client);
    expect(guest.load(IOVA, 8)).toBeNull();
  });
});

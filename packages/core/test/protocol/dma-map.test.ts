import { Command, DMA_MAP_BYTES, DmaMap } from '@sidecard/core';
import { encodeFields, type FieldsOf, GuestRam, qemuOffer } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { EEXIST, EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const PAGE = 4096;
const valid = { argsz: DMA_MAP_BYTES, flags: 3, offset: 0, iova: 0x10000, sizeBytes: PAGE };

onBothSides('DMA_MAP', qemuOffer, (scene) => {
  let ram: GuestRam;
  let guest: ExerciserGuest;
  beforeEach(() => {
    ram = GuestRam.shared(scene.rig.native, { sizeBytes: 64 * 1024, fileOffset: 2 * PAGE });
    guest = new ExerciserGuest(scene.client);
    guest.setBusMaster(true);
  });
  afterEach(() => ram.close());

  const map = (fields: FieldsOf<typeof DmaMap>, fds: number[] = []) => {
    const payload = encodeFields(DmaMap, DMA_MAP_BYTES, { ...valid, ...fields });
    return scene.client.wire.request(Command.dmaMap, payload, { fds });
  };

  test('with an fd: the device reads and writes the file at its offset', () => {
    scene.client.mapRam(ram);
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i * 7);
    ram.store(ram.iova + 100, bytes);
    expect(guest.load(ram.iova + 100, 9000)).toEqual(bytes);
    expect(guest.store(ram.iova + 20001, bytes.reverse())).toBe(true);
    expect(ram.load(ram.iova + 20001, 9000)).toEqual(bytes);
    expect(scene.client.wire.dma.count).toBe(0);
  });

  test('without an fd: by messages', () => {
    const apart = GuestRam.private({ iova: 0x4000_0000, sizeBytes: 128 * 1024 });
    scene.client.mapRam(apart);
    const bytes = Uint8Array.from({ length: 0x10000 }, (_, i) => i * 13);
    expect(guest.store(apart.iova + 5, bytes)).toBe(true);
    expect(apart.load(apart.iova + 5, bytes.length)).toEqual(bytes);
    expect(guest.load(apart.iova + 5, bytes.length)).toEqual(bytes);
    // At most 32 KiB with each.
    expect(scene.client.wire.dma.count).toBeGreaterThanOrEqual(4);
  });

  test('an access goes on from one map into the next, mapped or not', () => {
    scene.client.mapRam(ram);
    const next = GuestRam.private({ iova: ram.iova + ram.sizeBytes, sizeBytes: PAGE });
    scene.client.mapRam(next);
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i);
    const iova = next.iova - 2500;
    expect(guest.store(iova, bytes)).toBe(true);
    expect(ram.load(iova, 2500)).toEqual(bytes.subarray(0, 2500));
    expect(next.load(next.iova, 2500)).toEqual(bytes.subarray(2500));
    expect(guest.load(iova, 5000)).toEqual(bytes);
  });

  test('permissions, bus mastering and holes fault', () => {
    expect(map({ flags: 1, iova: 0x10000 }, [ram.fd]).error).toBe(0);
    expect(map({ flags: 2, iova: 0x20000 }, [ram.fd]).error).toBe(0);
    expect(guest.load(0x10000, 16)).not.toBeNull();
    expect(guest.store(0x10000, new Uint8Array(16))).toBe(false);
    expect(guest.load(0x20000, 16)).toBeNull();
    expect(guest.store(0x20000, new Uint8Array(16))).toBe(true);
    expect(guest.load(0x10ff8, 16)).toBeNull();
    expect(guest.load(0x30000, 16)).toBeNull();
    guest.setBusMaster(false);
    expect(guest.load(0x10000, 16)).toBeNull();
    guest.setBusMaster(true);
    expect(guest.load(0x10000, 16)).not.toBeNull();
  });

  test.each<[string, FieldsOf<typeof DmaMap>]>([
    ['a short argsz', { argsz: 31 }],
    ['unknown flags', { flags: 7 }],
    ['no permission at all', { flags: 0 }],
    ['size 0', { sizeBytes: 0 }],
    ['half a page', { sizeBytes: 2048 }],
    ['an address inside a page', { iova: 0x10001 }],
    ['an end beyond 64 bits', { iova: 0xffff_ffff_ffff_f000n, sizeBytes: 2 * PAGE }],
    ['all of the address space and a page', { iova: 2 * PAGE, sizeBytes: 0xffff_ffff_ffff_f000n }],
  ])('refuses %s', (_, fields) => {
    expect(refusal(map(fields))).toBe(EINVAL);
    expect(refusal(map(fields, [ram.fd]))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test.each<[string, FieldsOf<typeof DmaMap>]>([
    ['an offset inside a page', { offset: 512 }],
    ['more than the file has', { sizeBytes: 1024 * PAGE }],
    ['an offset behind the file', { offset: 1024 * PAGE }],
    ['an offset at the end of 64 bits', { offset: 0xffff_ffff_ffff_f000n }],
    ['an offset at the end of 63 bits', { offset: 0x7fff_ffff_ffff_f000n }],
  ])('refuses a file with %s', (_, fields) => {
    expect(refusal(map(fields, [ram.fd]))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('refuses a short payload and two descriptors', () => {
    const { wire } = scene.client;
    const payload = encodeFields(DmaMap, DMA_MAP_BYTES, valid);
    for (const length of [0, 4, 31]) {
      expect(refusal(wire.request(Command.dmaMap, payload.subarray(0, length), { fds: [ram.fd] }))).toBe(EINVAL);
    }
    expect(refusal(wire.request(Command.dmaMap, payload, { fds: [ram.fd, ram.fd] }))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('refuses to map over what is mapped', () => {
    expect(map({ iova: 0x10000, sizeBytes: 4 * PAGE }).error).toBe(0);
    for (const [iova, pages] of [
      [0x10000, 4],
      [0x11000, 1],
      [0xf000, 2],
      [0x13000, 2],
      [0xf000, 100],
    ] as const) {
      expect(refusal(map({ iova, sizeBytes: pages * PAGE }))).toBe(EEXIST);
      expect(refusal(map({ iova, sizeBytes: pages * PAGE }, [ram.fd]))).toBe(EEXIST);
    }
    expect(map({ iova: 0x14000 }).error).toBe(0);
    expect(map({ iova: 0xf000 }).error).toBe(0);
  });

  test('regions at the end of the address space are kept, and their DMA faults', () => {
    expect(map({ iova: 0xffff_ffff_ffff_f000n }).error).toBe(0);
    expect(guest.load(2 ** 63, 8)).toBeNull();
    scene.client.dmaUnmap(0xffff_ffff_ffff_f000n, PAGE);
  });

  test('trailing bytes are tolerated', () => {
    const payload = new Uint8Array(100);
    payload.set(encodeFields(DmaMap, DMA_MAP_BYTES, { ...valid, argsz: 100 }));
    expect(scene.client.wire.request(Command.dmaMap, payload).error).toBe(0);
  });

  test('a row of them without waiting, as QEMU sends: no fd, no fd, fd', () => {
    const { wire } = scene.client;
    const payload = (n: number, offset: number) =>
      encodeFields(DmaMap, DMA_MAP_BYTES, { ...valid, iova: n * 0x10000, offset });
    const a = wire.send(Command.dmaMap, payload(1, 0));
    const b = wire.send(Command.dmaMap, payload(2, 0));
    const c = wire.send(Command.dmaMap, payload(3, 2 * PAGE), { fds: [ram.fd] });
    for (const id of [a, b, c]) expect(wire.reply(id).error).toBe(0);
    ram.store(ram.iova, Uint8Array.of(1, 2, 3));
    expect(guest.load(0x30000, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect(wire.dma.count).toBe(0);
  });

  test('with No_reply it is done and not answered', () => {
    const payload = encodeFields(DmaMap, DMA_MAP_BYTES, { ...valid, offset: 2 * PAGE });
    scene.client.wire.send(Command.dmaMap, payload, { noReply: true, fds: [ram.fd] });
    scene.client.wire.send(Command.dmaMap, payload, { noReply: true, fds: [ram.fd] });
    expectInStep(scene.client);
    expect(guest.load(0x10000, 8)).toEqual(new Uint8Array(8));
  });
});

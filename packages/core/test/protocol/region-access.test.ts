import { Command, REGION_ACCESS_BYTES, RegionAccess, RegionIndex } from '@sidecard/core';
import { encodeFields, encodeWrites, type FieldsOf, qemuOffer } from '@sidecard/testing';
import { beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const access = (fields: FieldsOf<typeof RegionAccess>, dataBytes = 0) => {
  const payload = new Uint8Array(REGION_ACCESS_BYTES + dataBytes);
  payload.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, fields));
  return payload;
};

onBothSides('REGION_READ', qemuOffer, (scene) => {
  test('echoes the access, with the data behind it', () => {
    const request = access({ offset: 0, region: 0, count: 4 });
    const reply = scene.client.wire.request(Command.regionRead, request);
    expect(reply.payload.subarray(0, 16)).toEqual(request);
    expect([...reply.payload.subarray(16)]).toEqual([0x1e, 0xab, 0xa1, 0x5c]);
  });

  test('any size and alignment inside the region', () => {
    const { client } = scene;
    expect([...client.regionRead(0, 1, 2)]).toEqual([0xab, 0xa1]);
    expect(client.regionRead(0, 0, 0x4000)).toHaveLength(0x4000);
    expect(client.regionRead(0, 0x4000, 0)).toHaveLength(0);
    expect(client.regionRead(5, 3, 0x10000 - 3)).toHaveLength(0xfffd);
  });

  test('the whole config space at once, as QEMU does at attach', () => {
    const { client } = scene;
    const config = client.regionRead(RegionIndex.config, 0, 4096);
    expect(new DataView(config.buffer, config.byteOffset).getUint32(0, true)).toBe(0x5ca1_1234);
    expect(client.regionRead(RegionIndex.config, 0, 256)).toEqual(config.subarray(0, 256));
  });

  test.each<[string, FieldsOf<typeof RegionAccess>]>([
    ['a region that does not exist', { region: 9, count: 4 }],
    ['a region far away', { region: 0xffff_ffff, count: 4 }],
    ['a region without size', { region: 1, count: 4 }],
    ['the ROM that is not there', { region: RegionIndex.rom, count: 1 }],
    ['more than the region has', { region: 4, offset: 0xfd, count: 4 }],
    ['an offset behind the region', { region: 4, offset: 0x101, count: 0 }],
    ['an offset whose sum wraps', { region: 0, offset: 0xffff_ffff_ffff_fffcn, count: 8 }],
    ['an offset of 2^63', { region: 0, offset: 1n << 63n, count: 4 }],
    ['more than a message may carry', { region: 5, count: 0x100001 }],
    ['4 GiB', { region: 5, count: 0xffff_ffff }],
  ])('refuses %s', (_, fields) => {
    expect(refusal(scene.client.wire.request(Command.regionRead, access(fields)))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('refuses a short payload', () => {
    for (const length of [0, 12, 15]) {
      const payload = access({ count: 4 }).subarray(0, length);
      expect(refusal(scene.client.wire.request(Command.regionRead, payload))).toBe(EINVAL);
    }
  });

  test('with No_reply it has its effect and no answer', () => {
    const guest = new ExerciserGuest(scene.client);
    const before = guest.registers.reads;
    scene.client.wire.send(Command.regionRead, access({ region: 0, offset: 8, count: 4 }), { noReply: true });
    expect(guest.registers.reads).toBe(before + 2);
    expectInStep(scene.client);
  });
});

onBothSides('REGION_WRITE', qemuOffer, (scene) => {
  let guest: ExerciserGuest;
  beforeEach(() => {
    guest = new ExerciserGuest(scene.client);
    guest.registers.scratch = 0;
  });

  test('echoes the access without the data', () => {
    const request = access({ offset: 4, region: 0, count: 2 }, 2);
    request.set([0x34, 0x12], 16);
    const reply = scene.client.wire.request(Command.regionWrite, request);
    expect(reply.payload).toEqual(request.subarray(0, 16));
    expect(guest.registers.scratch).toBe(0x1234);
  });

  test('posted: many without a reply, and a read sees them all', () => {
    for (let i = 1; i <= 1000; i++) {
      scene.client.regionWrite(0, 4, Uint8Array.of(i, i >> 8, 0, 0), true);
    }
    expect(guest.registers.scratch).toBe(1000);
    expectInStep(scene.client);
  });

  test('long ones, into memory too', () => {
    const { client } = scene;
    const bytes = Uint8Array.from({ length: 0x10000 }, (_, i) => i * 3);
    client.regionWrite(5, 0, bytes);
    expect(client.regionRead(5, 0, 0x10000)).toEqual(bytes);
    client.regionWrite(2, 0, bytes.subarray(0, 0x4000));
    expect(client.regionRead(2, 0x1000, 0x2000)).toEqual(bytes.subarray(0x1000, 0x3000));
    expect(client.regionRead(2, 0, 0x1000)).toEqual(new Uint8Array(0x1000));
    client.regionWrite(0, 0x4000, new Uint8Array(0));
  });

  test.each<[string, FieldsOf<typeof RegionAccess>, number]>([
    ['a region that does not exist', { region: 9, count: 4 }, 4],
    ['a region without size', { region: 8, count: 4 }, 4],
    ['more than the region has', { region: 4, offset: 0xfd, count: 4 }, 4],
    ['an offset whose sum wraps', { region: 0, offset: 0xffff_ffff_ffff_fffcn, count: 8 }, 8],
    ['more data than it brings', { region: 0, offset: 4, count: 4 }, 3],
    ['4 GiB of data', { region: 5, count: 0xffff_ffff }, 4],
    ['more than a message may carry', { region: 5, count: 0x100001 }, 64],
  ])('refuses %s', (_, fields, dataBytes) => {
    const payload = access(fields, dataBytes).fill(0xff, 16);
    expect(refusal(scene.client.wire.request(Command.regionWrite, payload))).toBe(EINVAL);
    expect(guest.registers.scratch).toBe(0);
    expectInStep(scene.client);
  });

  test('a refused posted write is dropped in silence', () => {
    scene.client.regionWrite(0, 0x4000, Uint8Array.of(1), true);
    expectInStep(scene.client);
  });
});

onBothSides('REGION_WRITE_MULTI', qemuOffer, (scene) => {
  const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  let guest: ExerciserGuest;
  beforeEach(() => {
    guest = new ExerciserGuest(scene.client);
    guest.registers.scratch = 0;
  });

  test('does the writes in their order', () => {
    const writes = [
      { region: 4, offset: 0, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      { region: 0, offset: 4, bytes: word(5) },
      { region: 0, offset: 4, bytes: word(0x1_0006) },
      { region: 0, offset: 5, bytes: Uint8Array.of(7) },
    ];
    expect(scene.client.regionWriteMulti(writes)).toBe(4);
    expect(guest.registers.scratch).toBe(0x1_0706);
    expect([...scene.client.regionRead(4, 0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('none, posted, and many', () => {
    expect(scene.client.regionWriteMulti([])).toBe(0);
    const writes = Array.from({ length: 2000 }, (_, i) => ({ region: 0, offset: 4, bytes: word(i) }));
    scene.client.regionWriteMulti(writes, true);
    expect(guest.registers.scratch).toBe(1999);
    expectInStep(scene.client);
  });

  test('the first write that fails ends it, and the reply counts those done', () => {
    const writes = [
      { region: 0, offset: 4, bytes: word(1) },
      { region: 9, offset: 4, bytes: word(2) },
      { region: 0, offset: 4, bytes: word(3) },
    ];
    expect(scene.client.regionWriteMulti(writes)).toBe(1);
    expect(guest.registers.scratch).toBe(1);
    expect(() => scene.client.regionWriteMulti(writes.slice(1))).toThrow('EINVAL');
  });

  test.each<[string, Uint8Array]>([
    ['no payload', new Uint8Array(0)],
    ['half a count', new Uint8Array(7)],
    ['more writes than it brings', encodeWrites([{ region: 0, offset: 4, bytes: word(1) }], 2)],
    ['2^64 - 1 writes', encodeWrites([{ region: 0, offset: 4, bytes: word(1) }], -1n)],
    ['a count whose size wraps', encodeWrites([{ region: 0, offset: 4, bytes: word(1) }], 0x0aaa_aaaa_aaaa_aaabn)],
    ['a write of 9 bytes', encodeWrites([{ region: 0, offset: 0, bytes: word(1), count: 9 }])],
  ])('refuses %s', (_, payload) => {
    expect(refusal(scene.client.wire.request(Command.regionWriteMulti, payload))).toBe(EINVAL);
    expect(guest.registers.scratch).toBe(0);
    expectInStep(scene.client);
  });
});

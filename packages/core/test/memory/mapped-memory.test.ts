import { FakeNative } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HostBuffer } from '../../src/bits/host-buffer.ts';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC } from '../../src/memory/errno.ts';
import { bytesOf, Guest, natives, PAGE, pattern, Step } from './guest.ts';

describe.each(natives)('mapped memory, %s', (_name, native) => {
  let guest: Guest;
  beforeEach(() => {
    guest = new Guest(native());
  });
  afterEach(() => guest.close());

  const load = (iova: number, lengthBytes: number) => {
    const target = HostBuffer.alloc(lengthBytes);
    const task = Step.run((self) => guest.memory.load(self, iova, target, 0, lengthBytes));
    return task.result === 'done' ? [...target.bytes] : task.result;
  };
  const store = (iova: number, source: HostBuffer) =>
    Step.run((self) => guest.memory.store(self, iova, source, 0, source.lengthBytes)).result;

  test('loads and stores where the regions are in the file', () => {
    expect(guest.map(0x10_0000, 4 * PAGE, 8 * PAGE)).toBe(0);
    guest.ram.bytes.set([1, 2, 3, 4, 5], 8 * PAGE + 100);
    expect(load(0x10_0000 + 100, 5)).toEqual([1, 2, 3, 4, 5]);
    for (const lengthBytes of [1, 3, 4, 64, 511, 513, PAGE, 4 * PAGE]) {
      const source = pattern(lengthBytes, lengthBytes);
      expect(store(0x10_0000, source)).toBe('done');
      expect(guest.ram.bytes.subarray(8 * PAGE, 8 * PAGE + lengthBytes)).toEqual(source.bytes);
      expect(load(0x10_0000, lengthBytes)).toEqual([...source.bytes]);
    }
  });

  test('copies records at any offset in their buffers', () => {
    guest.map(0, PAGE, 0);
    const source = pattern(256);
    for (const [from, at, lengthBytes] of [
      [4, 8, 64],
      [1, 2, 64],
      [0, 5, 7],
      [12, 0, 16],
    ] as const) {
      guest.ram.bytes.fill(0, 0, 512);
      expect(Step.run((self) => guest.memory.store(self, at, source, from, lengthBytes)).result).toBe('done');
      expect(guest.ram.bytes.subarray(at, at + lengthBytes)).toEqual(source.bytes.subarray(from, from + lengthBytes));
      expect(guest.ram.bytes[at + lengthBytes]).toBe(0);
      const target = HostBuffer.alloc(256);
      Step.run((self) => guest.memory.load(self, at, target, from, lengthBytes));
      expect(target.bytes.subarray(from, from + lengthBytes)).toEqual(source.bytes.subarray(from, from + lengthBytes));
    }
  });

  test('an access across two regions that touch is one access', () => {
    guest.map(0, PAGE, 4 * PAGE);
    guest.map(PAGE, PAGE, 0);
    const source = pattern(200);
    expect(store(PAGE - 100, source)).toBe('done');
    expect(guest.ram.bytes.subarray(5 * PAGE - 100, 5 * PAGE)).toEqual(source.bytes.subarray(0, 100));
    expect(guest.ram.bytes.subarray(0, 100)).toEqual(source.bytes.subarray(100));
    expect(load(PAGE - 100, 200)).toEqual([...source.bytes]);
    expect(Step.run((self) => guest.memory.publish(self, PAGE - 8, source, 0, 16)).result).toBe('done');
    expect(load(PAGE - 8, 16)).toEqual([...source.bytes.subarray(0, 16)]);
  });

  test('holes, ends, wrong permissions and addresses past 2^53 fault, and nothing is written', () => {
    guest.map(0, PAGE, 0);
    guest.map(2 * PAGE, PAGE, PAGE, 'r');
    guest.map(4 * PAGE, PAGE, 2 * PAGE, 'w');
    guest.map(2 ** 53 - PAGE, 2 * PAGE, 0);
    for (const iova of [PAGE - 1, PAGE, 3 * PAGE - 1, 2 ** 53 - 1, 2 ** 53, 2 ** 60, -4, Number.NaN]) {
      expect(load(iova, 8), `${iova}`).toBe('fault');
      expect(store(iova, bytesOf(1, 2, 3, 4, 5, 6, 7, 8)), `${iova}`).toBe('fault');
    }
    expect(guest.ram.bytes[PAGE - 1]).toBe(0);
    expect(store(2 * PAGE, bytesOf(1))).toBe('fault');
    expect(load(4 * PAGE, 1)).toBe('fault');
    expect(load(2 * PAGE, 1)).toEqual([0]);
    expect(store(4 * PAGE, bytesOf(9))).toBe('done');
    expect(load(2 ** 53 - 8, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('bus mastering off stops all DMA at once', () => {
    guest.map(0, PAGE, 0);
    expect(load(0, 1)).toEqual([0]);
    expect(guest.memory.peekWord(0)).toBe(0);
    guest.memory.busMaster = false;
    expect(load(0, 1)).toBe('fault');
    expect(store(0, bytesOf(1))).toBe('fault');
    expect(guest.memory.peekWord(0)).toBe(-1);
    expect(guest.memory.pokeWord(0, 1)).toBe(false);
    const list = guest.memory.scatterList(4);
    list.begin('toGuest');
    expect(list.add(0, 8)).toBe(false);
    list.release();
    guest.memory.busMaster = true;
    expect(load(0, 1)).toEqual([0]);
  });

  test('words are peeked and poked', () => {
    guest.map(0, PAGE, PAGE);
    guest.ram.view.setUint32(PAGE + 8, 0x7fff_fff0, true);
    expect(guest.memory.peekWord(8)).toBe(0x7fff_fff0);
    expect(guest.memory.pokeWord(12, 77)).toBe(true);
    expect(guest.ram.view.getUint32(PAGE + 12, true)).toBe(77);
    expect(guest.memory.peekWord(PAGE - 2)).toBe(-1);
    expect(guest.memory.pokeWord(PAGE, 1)).toBe(false);
  });

  test('a region that is gone is gone at once', () => {
    guest.map(0, PAGE, 0);
    const before = guest.memory.generation;
    expect(load(0, 1)).toEqual([0]);
    expect(guest.memory.peekWord(0)).toBe(0);
    expect(guest.memory.unmap(0, PAGE)).toBe('done');
    expect(guest.memory.generation).toBeGreaterThan(before);
    expect(load(0, 1)).toBe('fault');
    expect(store(0, bytesOf(1))).toBe('fault');
    expect(guest.memory.peekWord(0)).toBe(-1);
    expect(guest.map(0, PAGE, PAGE)).toBe(0);
    guest.ram.bytes[PAGE] = 42;
    expect(load(0, 1)).toEqual([42]);
  });

  test('maps and unmaps are checked', () => {
    const small = new Guest(native(), 16 * PAGE, { maxMaps: 2 });
    expect(small.map(0, 0, 0)).toBe(EINVAL);
    expect(small.map(1, PAGE, 0)).toBe(EINVAL);
    expect(small.map(0, PAGE + 1, 0)).toBe(EINVAL);
    expect(small.map(0, PAGE, 1)).toBe(EINVAL);
    expect(small.map(0, PAGE, -PAGE)).toBe(EINVAL);
    expect(small.map(2 ** 64 - PAGE, 2 * PAGE, 0)).toBe(EINVAL);
    expect(small.map(0, PAGE, 0, '')).toBe(EINVAL);
    expect(small.map(0, 17 * PAGE, 0)).toBe(EINVAL);
    expect(small.map(0, 2 * PAGE, 15 * PAGE)).toBe(EINVAL);
    expect(small.map(0, PAGE, 2 ** 53)).toBe(EINVAL);
    expect(small.map(0, PAGE, 0, 'rw', 987_654)).toBe(EINVAL);
    expect(small.map(0, PAGE, 0, 'rw', small.native.eventfd())).toBe(EINVAL);
    expect(small.map(4 * PAGE, 4 * PAGE, 0)).toBe(0);
    for (const [page, pages] of [
      [4, 4],
      [4, 1],
      [3, 2],
      [7, 1],
      [7, 9],
      [0, 20],
    ] as const) {
      expect(small.map(page * PAGE, pages * PAGE, 0)).toBe(EEXIST);
    }
    expect(small.map(8 * PAGE, PAGE, 0)).toBe(0);
    expect(small.map(0, PAGE, 0)).toBe(ENOSPC);
    expect(small.memory.unmap(4 * PAGE, PAGE)).toBe(EINVAL);
    expect(small.memory.unmap(5 * PAGE, 3 * PAGE)).toBe(EINVAL);
    expect(small.memory.unmap(4 * PAGE, 5 * PAGE)).toBe(EINVAL);
    expect(small.memory.unmap(3 * PAGE, 5 * PAGE)).toBe(EINVAL);
    expect(small.memory.unmap(0, PAGE)).toBe(ENOENT);
    expect(small.memory.unmap(0, 0)).toBe(ENOENT);
    expect(small.memory.unmapAll()).toBe('done');
    expect(small.memory.count).toBe(0);
    expect(small.memory.fileCount).toBe(0);
    small.close();
  });

  test('a file is mapped once, and let go with its last region', () => {
    const control = guest.native instanceof FakeNative ? guest.native : null;
    const fds = control?.openFds;
    for (let i = 0; i < 8; i++) expect(guest.map(i * 2 * PAGE, PAGE, i * PAGE)).toBe(0);
    expect(guest.memory.fileCount).toBe(1);
    if (control) expect(control.openFds).toBe(fds! + 1);
    for (let i = 0; i < 8; i++) expect(guest.memory.unmap(i * 2 * PAGE, PAGE)).toBe('done');
    expect(guest.memory.fileCount).toBe(0);
    if (control) expect(control.openFds).toBe(fds);
  });

  test('most of the memory mapped counts as mapped, a ROM behind messages does not change that', () => {
    expect(guest.memory.mapped).toBe(false);
    guest.map(0, 16 * PAGE, 0);
    expect(guest.memory.mapped).toBe(true);
    guest.mapMessages(32 * PAGE, 64 * PAGE, 'r');
    guest.mapMessages(128 * PAGE, 4 * PAGE);
    expect(guest.memory.mapped).toBe(true);
    guest.memory.unmap(0, 16 * PAGE);
    expect(guest.memory.mapped).toBe(false);
  });

  test('a file that was cut faults from then on, and only that file', () => {
    guest.map(0, 16 * PAGE, 0);
    const other = guest.native.memfd('other', 4 * PAGE);
    expect(guest.map(32 * PAGE, 4 * PAGE, 0, 'rw', other)).toBe(0);
    expect(load(8 * PAGE, 1)).toEqual([0]);
    guest.native.truncate(guest.fd, 4 * PAGE);
    expect(load(8 * PAGE, 1)).toBe('fault');
    expect(load(0, 1)).toBe('fault');
    expect(store(0, bytesOf(1))).toBe('fault');
    expect(guest.memory.peekWord(0)).toBe(-1);
    expect(load(32 * PAGE, 1)).toEqual([0]);
    expect(guest.memory.unmap(0, 16 * PAGE)).toBe('done');
    expect(guest.map(0, 16 * PAGE, 0)).toBe(EINVAL);
    expect(guest.map(0, 4 * PAGE, 0)).toBe(0);
    expect(load(0, 1)).toEqual([0]);
  });
});

test('a descriptor that may only be read serves regions that may only be read', () => {
  const native = new FakeNative();
  const guest = new Guest(native);
  native.open('/image', 0o102);
  const writer = native.open('/image', 2);
  native.truncate(writer, PAGE);
  expect(guest.map(0, PAGE, 0, 'rw', native.open('/image', 0))).toBe(EACCES);
  expect(guest.map(0, PAGE, 0, 'r', native.open('/image', 0))).toBe(0);
  expect(guest.map(PAGE, PAGE, 0, 'rw', native.open('/image', 1))).toBe(EACCES);
  expect(guest.map(PAGE, PAGE, 0, 'rw', native.open('/image', 2))).toBe(0);
  expect(guest.memory.fileCount).toBe(2);
  guest.close();
});

describe('files larger than a window', () => {
  const GIB = 2 ** 30;
  const native = natives[1]![1]();

  test('are reached everywhere, across the edges of windows too', () => {
    const guest = new Guest(native, PAGE);
    const fd = native.memfd('vast', 2 ** 40);
    const reader = native.map(fd, 30 * GIB - PAGE, 2 * PAGE, true) as ArrayBuffer;
    expect(guest.map(2 ** 40, 2 ** 40, 0, 'rw', fd)).toBe(0);
    const source = pattern(2000);
    const target = HostBuffer.alloc(2000);
    for (const offset of [0, 3 * GIB + 5, 30 * GIB - 1000, 2 ** 40 - 2000]) {
      const iova = 2 ** 40 + offset;
      expect(Step.run((task) => guest.memory.store(task, iova, source, 0, 2000)).result).toBe('done');
      target.bytes.fill(0);
      expect(Step.run((task) => guest.memory.load(task, iova, target, 0, 2000)).result).toBe('done');
      expect(target.bytes).toEqual(source.bytes);
    }
    expect(new Uint8Array(reader, PAGE - 1000, 2000)).toEqual(source.bytes);
    const list = guest.memory.scatterList(4);
    list.begin('toGuest');
    expect(list.add(2 ** 40 + 30 * GIB - 1000, 2000)).toBe(true);
    expect([...list.segments.length.subarray(0, 2)]).toEqual([1000, 1000]);
    expect([...list.segments.offset.subarray(0, 2)]).toEqual([GIB - 1000, 0]);
    list.release();
    expect(guest.memory.peekWord(2 ** 40 + 700 * GIB)).toBe(0);
    native.unmap(reader);
    guest.close();
  });

  test('and files that grow are mapped further, while I/O keeps the old window', () => {
    const guest = new Guest(native, PAGE);
    const fd = native.memfd('growing', 4 * PAGE);
    expect(guest.map(0, 4 * PAGE, 0, 'rw', native.dup(fd))).toBe(0);
    const list = guest.memory.scatterList(1);
    list.begin('toGuest');
    expect(list.add(0, 100)).toBe(true);
    native.truncate(fd, 16 * PAGE);
    expect(guest.map(4 * PAGE, 12 * PAGE, 4 * PAGE, 'rw', fd)).toBe(0);
    expect(guest.memory.fileCount).toBe(1);
    list.segments.area[0]!.bytes[list.segments.offset[0]!] = 7;
    const target = HostBuffer.alloc(1);
    expect(Step.run((task) => guest.memory.load(task, 0, target, 0, 1)).result).toBe('done');
    expect(target.bytes[0]).toBe(7);
    expect(Step.run((task) => guest.memory.store(task, 16 * PAGE - 1, target, 0, 1)).result).toBe('done');
    list.release();
    guest.close();
  });

  test('a mapping that the native side keeps back is let go later', () => {
    const fake = new FakeNative();
    const guest = new Guest(fake);
    const { unmap } = fake;
    let busy = true;
    fake.unmap = (buffer) => (busy ? -16 : unmap.call(fake, buffer));
    guest.map(0, PAGE, 0);
    expect(guest.memory.unmap(0, PAGE)).toBe('done');
    expect(guest.memory.fileCount).toBe(1);
    guest.memory.poll();
    expect(guest.memory.fileCount).toBe(1);
    busy = false;
    guest.memory.poll();
    expect(guest.memory.fileCount).toBe(0);
    guest.close();
  });
});

import { FakeNative, type Native } from '@sidecard/native';
import { GuestRam, PageAllocator, PrpPages } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';

describe('PageAllocator', () => {
  test('hands out pages that do not overlap, aligned as asked', () => {
    const pages = new PageAllocator(0x3000, 16 * 4096);
    expect(pages.allocate(1)).toBe(0x3000);
    expect(pages.allocate(4097)).toBe(0x4000);
    expect(pages.allocate(4096, 0x8000)).toBe(0x8000);
    expect(pages.allocate(4096)).toBe(0x9000);
    pages.free(0x4000);
    expect(pages.allocate(8192)).toBe(0x4000);
    expect(() => pages.allocate(100 * 4096)).toThrow(RangeError);
    expect(() => pages.free(0x5000)).toThrow(RangeError);
  });

  test('finds room that was given back', () => {
    const pages = new PageAllocator(0, 4 * 4096);
    const all = [0, 1, 2, 3].map(() => pages.allocate(4096));
    expect(() => pages.allocate(1)).toThrow(RangeError);
    pages.free(all[2]!);
    expect(pages.allocate(1)).toBe(0x2000);
  });
});

describe('GuestRam', () => {
  test('shared memory is the file that a device maps', () => {
    const native: Native = new FakeNative();
    const ram = GuestRam.shared(native, { iova: 0x10000, sizeBytes: 8192, fileOffset: 4096 });
    ram.store(0x10010, Uint8Array.of(1, 2, 3));
    const mapped = new Uint8Array(native.map(ram.fd, 0, 12288, false) as ArrayBuffer);
    expect([...mapped.subarray(4096 + 16, 4096 + 19)]).toEqual([1, 2, 3]);
    ram.setWord(0x10ffc, 0xffff_fffe);
    expect(ram.word(0x10ffc)).toBe(0xffff_fffe);
  });

  test('pages are zeroes again when they are allocated again', () => {
    const ram = GuestRam.private({ sizeBytes: 4096 });
    const iova = ram.allocate(100);
    ram.store(iova + 4095, Uint8Array.of(9));
    ram.free(iova);
    expect(ram.load(ram.allocate(100) + 4095, 1)).toEqual(Uint8Array.of(0));
  });

  test('what is outside throws', () => {
    const ram = GuestRam.private({ iova: 0x1000, sizeBytes: 4096 });
    expect(() => ram.load(0xfff, 1)).toThrow(RangeError);
    expect(() => ram.store(0x1fff, new Uint8Array(2))).toThrow(RangeError);
    expect(() => ram.word(0x2000)).toThrow(RangeError);
  });
});

describe('PrpPages', () => {
  const ram = GuestRam.private();
  const entries = (list: number, count: number) =>
    Array.from({ length: count }, (_, i) =>
      Number(new DataView(ram.load(list + i * 8, 8).buffer).getBigUint64(0, true)),
    );

  test('one and two pages have no list', () => {
    const one = new PrpPages(ram, 100, { pageOffset: 3996 });
    expect([one.prp1 % 4096, one.prp2]).toEqual([3996, 0]);
    const two = new PrpPages(ram, 101, { pageOffset: 3996 });
    expect(two.prp2).toBe(two.prp1 - 3996 + 4096);
  });

  test('more pages have a list, from its offset on, and a last entry that chains', () => {
    const data = new PrpPages(ram, 5 * 4096, { pageOffset: 8, listOffset: 4096 - 3 * 8 });
    expect(data.prp2 % 4096).toBe(4072);
    const [a, b, next] = entries(data.prp2, 3);
    expect([a, b]).toEqual([data.pages[1], data.pages[2]]);
    expect(entries(next!, 3)).toEqual(data.pages.slice(3));
  });

  test('a list that ends with its page does not chain', () => {
    const data = new PrpPages(ram, 4 * 4096, { listOffset: 4096 - 3 * 8 });
    expect(entries(data.prp2, 3)).toEqual(data.pages.slice(1));
  });

  test('what is stored is loaded, scattered too', () => {
    const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 253);
    const data = new PrpPages(ram, bytes.length, { pageOffset: 500, scattered: true });
    data.store(bytes);
    expect(data.load()).toEqual(bytes);
    expect(data.pages[0]).toBe(data.pages[1]! + 4096);
    data.free();
  });
});

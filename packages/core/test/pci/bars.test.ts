import { type Bar, HostBuffer, RegionIndex, registers, rw, u32 } from '@sidecard/core';
import { expect, test } from 'vitest';
import { insertCard } from './card.ts';

const EINVAL = 22;
const Registers = registers(0x20, { first: u32(0, rw), last: u32(0x1c, rw) });
const msix = { vectors: 3, table: { bar: 0, offset: 0x2000 }, pba: { bar: 0, offset: 0x3000 } };

function cardWith(bar: Partial<Bar>, others: { [index: number]: Bar } = {}) {
  const bars = { 0: { kind: 'memory64' as const, sizeBytes: 0x4000, windows: [], ...bar }, ...others };
  return insertCard({ bars, identity: { interrupts: { msix } } });
}

test('accesses that span windows and holes are cut at their edges', () => {
  const low = Registers.create();
  const high = Registers.create();
  const { card } = cardWith({
    windows: [
      { offset: 0x20, sizeBytes: 0x20, registers: high },
      { offset: 0x00, sizeBytes: 0x20, registers: low },
    ],
  });
  expect(card.writeRegion(0, 0x1c, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), 0, 8)).toBe(0);
  expect([low.last, high.first]).toEqual([0x0403_0201, 0x0807_0605]);
  const out = new Uint8Array(0x40).fill(0xee);
  expect(card.readRegion(0, 0x3e, out, 0, 8)).toBe(0);
  expect([...out.subarray(0, 9)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
  high.last = 0xffff_ffff;
  expect(card.readRegion(0, 0x3e, out, 1, 4)).toBe(0);
  expect([...out.subarray(0, 6)]).toEqual([0, 0xff, 0xff, 0, 0, 0]);
});

test('a hole in front of a window reads zero, and a window larger than its registers too', () => {
  const regs = Registers.create();
  regs.first = 0x1111_1111;
  const { card } = cardWith({ windows: [{ offset: 0x100, sizeBytes: 0x100, registers: regs }] });
  const out = new Uint8Array(0x40).fill(0xee);
  card.readRegion(0, 0xfe, out, 0, 4);
  expect([...out.subarray(0, 4)]).toEqual([0, 0, 0x11, 0x11]);
  regs.last = 0x2222_2222;
  card.writeRegion(0, 0x11e, new Uint8Array(8).fill(0x33), 0, 8);
  card.readRegion(0, 0x11e, out, 0, 8);
  expect([...out.subarray(0, 8)]).toEqual([0x33, 0x33, 0, 0, 0, 0, 0, 0]);
});

test('mappable memory is offered, and accessed by messages too', () => {
  const memory = HostBuffer.alloc(0x1000);
  const { card } = cardWith({
    windows: [{ offset: 0x1000, sizeBytes: 0x1000, memory: { fd: 5, fdOffset: 0x8000, memory } }],
  });
  expect(card.regions[0]!.flags).toBe(7);
  expect(card.regions[0]!.areas).toEqual([{ offset: 0x1000, sizeBytes: 0x1000, fd: 5, fdOffset: 0x8000, memory }]);
  card.writeRegion(0, 0x1008, new Uint8Array([1, 2, 3, 0xff]), 0, 4);
  card.writeRegion(0, 0x1011, new Uint8Array([9, 8]), 0, 2);
  expect(memory.words[2]! >>> 0).toBe(0xff03_0201);
  const out = new Uint8Array(10);
  card.readRegion(0, 0x1008, out, 0, 4);
  expect([...out.subarray(0, 4)]).toEqual([1, 2, 3, 0xff]);
  card.readRegion(0, 0x100f, out, 0, 10);
  expect([...out.subarray(0, 5)]).toEqual([0, 0, 9, 8, 0]);
});

test('registers over mappable memory: messages meet the registers', () => {
  const memory = HostBuffer.alloc(0x1000);
  const Page = registers(0x1000, { bell: u32(8, rw) });
  const seen: number[] = [];
  const regs = Page.create(memory, { bell: { write: (now) => seen.push(now) } });
  const { card } = cardWith({
    windows: [{ offset: 0x1000, sizeBytes: 0x1000, registers: regs, memory: { fd: 5, fdOffset: 0, memory } }],
  });
  card.writeRegion(0, 0x1008, new Uint8Array([7, 0, 0, 0]), 0, 4);
  expect([seen, memory.words[2]]).toEqual([[7], 7]);
});

test('the region table is that of vfio-pci', () => {
  const { card } = cardWith({}, { 2: { kind: 'io', sizeBytes: 256, windows: [] } });
  expect(card.regions.map(({ sizeBytes }) => sizeBytes)).toEqual([0x4000, 0, 256, 0, 0, 0, 0, 256, 0]);
  expect(card.regions.map(({ flags }) => flags)).toEqual([3, 0, 3, 0, 0, 0, 0, 3, 0]);
});

test('accesses outside are refused, overflow included', () => {
  const { card } = cardWith({});
  const bytes = new Uint8Array(16);
  const outside: [number, number, number][] = [
    [0, 0x4000, 1],
    [0, 0x3ffd, 4],
    [0, 2 ** 64 - 4, 8],
    [0, -4, 8],
    [0, 0, 0x4001],
    [1, 0, 1],
    [RegionIndex.rom, 0, 4],
    [RegionIndex.vga, 0, 4],
    [9, 0, 4],
    [2 ** 32 - 1, 0, 4],
    [RegionIndex.config, 255, 2],
  ];
  for (const [index, offset, length] of outside) {
    expect(card.readRegion(index, offset, bytes, 0, length)).toBe(EINVAL);
    expect(card.writeRegion(index, offset, bytes, 0, length)).toBe(EINVAL);
  }
  expect(card.readRegion(0, 0x3ffc, bytes, 0, 4)).toBe(0);
  expect(card.readRegion(RegionIndex.config, 254, bytes, 0, 2)).toBe(0);
});

test("BARs answer while the command register decodes nothing: that is the client's part", () => {
  const regs = Registers.create();
  const { card, config } = cardWith({ windows: [{ offset: 0, sizeBytes: 0x20, registers: regs }] });
  expect(config.read(4, 2)).toBe(0);
  card.writeRegion(0, 0, new Uint8Array([1, 0, 0, 0]), 0, 4);
  expect(regs.first).toBe(1);
});

test('the MSI-X table and PBA are put into their BAR', () => {
  const { card } = cardWith({});
  const out = new Uint8Array(16);
  card.readRegion(0, 0x2020, out, 0, 16);
  expect([...out]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
  card.writeRegion(0, 0x2000, new Uint8Array(16).fill(0xff), 0, 16);
  card.readRegion(0, 0x2000, out, 0, 16);
  expect([...out]).toEqual([...new Array(13).fill(0xff), 0, 0, 0].map((byte, i) => (i === 12 ? 1 : byte)));
  card.writeRegion(0, 0x3000, out, 0, 8);
  card.readRegion(0, 0x3000, out, 0, 8);
  expect([...out.subarray(0, 8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
});

test('BARs that cannot be are refused', () => {
  const regs = Registers.create();
  const window = { offset: 0, sizeBytes: 0x20, registers: regs };
  const memory = { fd: 5, fdOffset: 0, memory: HostBuffer.alloc(0x1000) };
  expect(() => cardWith({ sizeBytes: 0x3000 })).toThrow('12288 bytes is no size for memory64');
  expect(() => cardWith({ kind: 'io', sizeBytes: 512 })).toThrow('no size for io');
  expect(() => cardWith({ windows: [window, { ...window, offset: 0x10 }] })).toThrow('overlaps');
  expect(() => cardWith({ windows: [{ ...window, offset: 0x3ff0 }] })).toThrow('does not fit');
  expect(() => cardWith({ windows: [{ ...window, offset: 0x2010 }] })).toThrow('overlaps');
  expect(() => cardWith({ windows: [{ offset: 0, sizeBytes: 16 }] })).toThrow('neither');
  expect(() => cardWith({ windows: [{ offset: 0x10, sizeBytes: 0x1000, memory }] })).toThrow('whole pages');
  expect(() => cardWith({ windows: [{ offset: 0, sizeBytes: 0x2000, memory }] })).toThrow('larger than its memory');
  expect(() =>
    cardWith({
      windows: [
        { offset: 0, sizeBytes: 0x1000, memory },
        { offset: 0x1000, sizeBytes: 0x1000, memory },
      ],
    }),
  ).toThrow('same places of one fd');
  expect(() => cardWith({}, { 1: { kind: 'memory32', sizeBytes: 16, windows: [] } })).toThrow(
    'BAR0: no room for memory64',
  );
  expect(() => insertCard({ identity: { interrupts: { msix } } })).toThrow('BAR0, which is not there');
});

import { array, fragment, HostBuffer, rc, registers, ro, rw, u8, u16, u32, u64, w1c, w1s, wo } from '@sidecard/core';
import { expect, test } from 'vitest';
import { guest } from './guest.ts';

const Card = registers(0x40, {
  id: u32(0x00, ro, 0x0100_00ed),
  scratch: u32(0x04, rw),
  control: u32(0x08, { enable: rw(0), mode: rw(7, 4, 5), busy: ro(31) }),
  status: u16(0x0c, { done: w1c(0), failed: w1c(9), kick: w1s(15) }),
  command: u32(0x10, wo),
  events: u16(0x14, rc),
  cap: u64(0x18, { low: ro(15, 0, 0xbeef), middle: rw(40, 24), high: rw(63, 44) }),
  address: u64(0x20, rw),
  odd: u8(0x29, rw, 0x7f),
});

test('registers start with their reset values, and reset() brings them back', () => {
  const regs = Card.create();
  expect(regs.id).toBe(0x0100_00ed);
  expect(regs.control.mode).toBe(5);
  expect(regs.control.value).toBe(0x50);
  regs.scratch = 7;
  regs.id = 9;
  regs.reset();
  expect([regs.id, regs.scratch, regs.odd]).toEqual([0x0100_00ed, 0, 0x7f]);
});

test('the guest writes rw bits only, and reserved bits read zero', () => {
  const regs = Card.create();
  const g = guest(regs);
  g.write(0x00, 4, 0xffff_ffff);
  expect(g.read(0x00, 4)).toBe(0x0100_00ed);
  g.write(0x08, 4, 0xffff_ffff);
  expect(g.read(0x08, 4)).toBe(0xf1);
  g.write(0x30, 4, 0xffff_ffff);
  expect(g.read(0x30, 4)).toBe(0);
  regs.control.busy = 1;
  expect(g.read(0x08, 4)).toBe(0x8000_00f1);
});

test('accesses of any size at any offset touch the bytes they cover', () => {
  const regs = Card.create();
  const g = guest(regs);
  g.write(0x04, 4, 0x1122_3344);
  expect(g.read(0x05, 2)).toBe(0x2233);
  g.write(0x06, 1, 0xaa);
  expect(regs.scratch).toBe(0x11aa_3344);
  expect(g.bytes(0x02, 4)).toEqual([0x00, 0x01, 0x44, 0x33]);
  g.write(0x03, 2, 0xbb99);
  expect(regs.scratch).toBe(0x11aa_33bb);
  expect(regs.id).toBe(0x0100_00ed);
});

test('w1c is cleared and w1s set by ones, each byte on its own', () => {
  const regs = Card.create();
  const g = guest(regs);
  regs.status.value = 0x0201;
  g.write(0x0c, 1, 0xff);
  expect(regs.status.value).toBe(0x0200);
  g.write(0x0c, 2, 0x0000);
  expect(regs.status.failed).toBe(1);
  g.write(0x0c, 2, 0x8200);
  expect([regs.status.failed, regs.status.kick]).toEqual([0, 1]);
  g.write(0x0c, 2, 0);
  expect(regs.status.kick).toBe(1);
});

test('wo reads zero, and a write is an event: bytes that are not covered are zero', () => {
  const seen: number[][] = [];
  const regs = Card.create({ command: { write: (now, was) => seen.push([now, was]) } });
  const g = guest(regs);
  g.write(0x10, 4, 0x0102_0304);
  expect(g.read(0x10, 4)).toBe(0);
  g.write(0x11, 1, 0x55);
  expect(seen).toEqual([
    [0x0102_0304, 0],
    [0x5500, 0x0102_0304],
  ]);
});

test('rc is cleared by reading, only the bytes that were read', () => {
  const cleared: number[][] = [];
  const regs = Card.create({ events: { cleared: (was, index) => cleared.push([was, index, regs.events]) } });
  const g = guest(regs);
  regs.events = 0xabcd;
  expect(regs.events).toBe(0xabcd);
  expect(g.read(0x14, 1)).toBe(0xcd);
  expect(regs.events).toBe(0xab00);
  expect(g.read(0x12, 4)).toBe(0xab00_0000);
  expect(g.read(0x14, 2)).toBe(0);
  expect(cleared).toEqual([
    [0xabcd, 0, 0xab00],
    [0xab00, 0, 0],
  ]);
});

test('one hook per touched register, with the register now and before', () => {
  const calls: string[] = [];
  const regs = Card.create({
    scratch: {
      read: () => {
        calls.push('read scratch');
        regs.scratch = 0x77;
      },
      write: (now, was) => calls.push(`scratch ${was} to ${now}`),
    },
    control: { write: (now, was) => calls.push(`control ${was} to ${now}`) },
  });
  const g = guest(regs);
  g.write(0x04, 8, 0x0000_0001_0000_0002);
  expect(calls).toEqual(['scratch 0 to 2', 'control 80 to 1']);
  calls.length = 0;
  expect(g.read(0x00, 8)).toBe(0x77 * 2 ** 32 + 0x0100_00ed);
  expect(calls).toEqual(['read scratch']);
});

test('64-bit registers and fields are Numbers', () => {
  const regs = Card.create();
  regs.address = 0x1f_ffff_ffff_ffff;
  expect(regs.address).toBe(0x1f_ffff_ffff_ffff);
  expect(guest(regs).bytes(0x20, 8)).toEqual([255, 255, 255, 255, 255, 255, 0x1f, 0]);
  regs.cap.middle = 0x1_abcd;
  regs.cap.high = 0xf_edcb;
  expect([regs.cap.low, regs.cap.middle, regs.cap.high]).toEqual([0xbeef, 0x1_abcd, 0xf_edcb]);
  regs.cap.middle = 0;
  expect([regs.cap.low, regs.cap.high]).toEqual([0xbeef, 0xf_edcb]);
});

test('arrays have an element each, and hooks get its index', () => {
  const seen: number[][] = [];
  const Doorbells = registers(0x100, {
    doorbells: array(4, 8, { tail: u32(0x40, wo), head: u32(0x44, rw) }),
    grid: array(2, 0x20, { cells: array(3, 4, { x: u32(0x80, rw) }) }),
  });
  const regs = Doorbells.create({
    doorbells: { tail: { write: (now, _was, index) => seen.push([index, now]) } },
    grid: { cells: { x: { write: (now, _was, index) => seen.push([100 + index, now]) } } },
  });
  const g = guest(regs);
  g.write(0x58, 4, 9);
  g.write(0x5c, 4, 11);
  g.write(0xa4, 4, 5);
  expect(seen).toEqual([
    [3, 9],
    [104, 5],
  ]);
  expect(regs.doorbells[3]!.head).toBe(11);
  regs.doorbells[1]!.head = 4;
  expect(g.read(0x4c, 4)).toBe(4);
  expect(regs.grid[1]!.cells[1]!.x).toBe(5);
  expect(Doorbells.registers.map(({ path }) => path.join('.'))).toContain('grid.1.cells.2.x');
});

test('fragments are placed anywhere, with properties and hooks of their own', () => {
  const Message = fragment(0x0a, { id: u8(0, ro, 5), control: u16(2, { enable: rw(0) }), data: u16(8, rw) });
  const seen: string[] = [];
  const regs = registers(0x40, { first: Message.at(0x10), second: Message.at(0x21) }).create({
    second: { control: { write: (now) => seen.push(`second ${now}`) } },
  });
  const g = guest(regs);
  g.write(0x12, 2, 1);
  g.write(0x23, 2, 0xffff);
  expect([regs.first.control.enable, regs.second.control.value, regs.second.id]).toEqual([1, 1, 5]);
  expect(seen).toEqual(['second 1']);
});

test('a file over given bytes leaves them as they are', () => {
  const bytes = HostBuffer.alloc(0x40);
  bytes.bytes[4] = 0x42;
  const regs = Card.create(bytes);
  expect([regs.id, regs.scratch]).toEqual([0, 0x42]);
  expect(() => Card.create(HostBuffer.alloc(0x3f))).toThrow('64 bytes over 63');
});

test('what cannot be is refused when it is declared', () => {
  expect(() => registers(8, { a: u32(0, rw), b: u8(3, ro) })).toThrow('b and a overlap at 0x3');
  expect(() => registers(8, { a: u32(6, rw) })).toThrow('does not fit');
  expect(() => registers(8, { a: u8(0, ro, 0x100) })).toThrow('reset value');
  expect(() => registers(8, { a: u8(0, { x: rw(3, 0), y: ro(3) }) })).toThrow('fields overlap: a.y');
  expect(() => registers(8, { a: u8(0, { x: rw(8) }) })).toThrow('bits 8:8 of 8');
  expect(() => registers(8, { a: u8(0, { x: rw(1, 0, 4) }) })).toThrow('reset value 4 of a.x');
  expect(() => registers(8, { a: u8(0, { x: rw(1, 0) }, 4) })).toThrow('undeclared bits');
  expect(() => registers(8, { read: u8(0, ro) })).toThrow('cannot be called read');
  expect(() => registers(8, { 1: u8(0, ro) })).toThrow('cannot be called 1');
  expect(() => registers(8, { a: u8(0, { value: ro(0) }) })).toThrow('the name is taken');
  expect(() => registers(8, { a: array(3, 4, { x: u32(0, rw) }) })).toThrow('does not fit');
  expect(() => registers(8, { a: fragment(4, { x: u8(4, ro) }).at(0) })).toThrow('does not fit');
});

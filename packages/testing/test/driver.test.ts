import { array, fragment, registers, ro, rw, u8, u16, u32, u64, w1c } from '@sidecard/core';
import { driver } from '@sidecard/testing';
import { expect, test } from 'vitest';

const map = registers(0x40, {
  id: u32(0x00, ro, 0x1234_5678),
  status: u16(0x04, { busy: ro(0), errors: w1c(7, 4), mode: rw(15, 12) }),
  wide: u64(0x08, { low: rw(11, 0), across: rw(39, 24), top: rw(63, 60) }),
  plain: u64(0x10, rw),
  byte: u8(0x18, rw),
  bells: array(2, 8, { tail: u32(0x20, rw), head: u32(0x24, rw) }),
  capability: fragment(4, { control: u16(2, rw) }).at(0x34),
});

test('a property is a guest access, as wide as its register', () => {
  const accesses: string[] = [];
  const file = map.create();
  const guest = driver(map, {
    sizeBytes: file.sizeBytes,
    read: (offset, target, at, length) => {
      accesses.push(`read ${offset}+${length}`);
      file.read(offset, target, at, length);
    },
    write: (offset, source, at, length) => {
      accesses.push(`write ${offset}+${length}`);
      file.write(offset, source, at, length);
    },
  });
  expect(guest.id).toBe(0x1234_5678);
  guest.id = 1;
  expect(guest.id).toBe(0x1234_5678);
  guest.status.mode = 5;
  guest.byte = 0x1ff;
  guest.plain = 2 ** 52 + 1;
  guest.bells[1]!.head = 7;
  guest.capability.control = 3;
  expect(accesses).toEqual([
    'read 0+4',
    'write 0+4',
    'read 0+4',
    'read 4+2',
    'write 4+2',
    'write 24+1',
    'write 16+8',
    'write 44+4',
    'write 54+2',
  ]);
  expect(file.status.mode).toBe(5);
  expect(file.byte).toBe(0xff);
  expect(guest.plain).toBe(2 ** 52 + 1);
  expect(file.bells[1]!.head).toBe(7);
  expect(file.capability.control).toBe(3);
});

test('fields of 64 bits are exact, and changing one keeps the others', () => {
  const file = map.create();
  const guest = driver(map, file);
  guest.wide.top = 0xf;
  guest.wide.across = 0xabcd;
  guest.wide.low = 0x123;
  expect([guest.wide.low, guest.wide.across, guest.wide.top]).toEqual([0x123, 0xabcd, 0xf]);
  expect([file.wide.low, file.wide.across, file.wide.top]).toEqual([0x123, 0xabcd, 0xf]);
});

test('a map in the middle of something', () => {
  const bytes = new Uint8Array(64);
  const window = {
    sizeBytes: 64,
    read: (offset: number, target: Uint8Array, at: number, length: number) =>
      target.set(bytes.subarray(offset, offset + length), at),
    write: (offset: number, source: Uint8Array, at: number, length: number) =>
      bytes.set(source.subarray(at, at + length), offset),
  };
  driver(registers(4, { word: u32(0, rw) }), window, 16).word = 0x0403_0201;
  expect([...bytes.subarray(15, 21)]).toEqual([0, 1, 2, 3, 4, 0]);
});

import { array, le32, le64, registers, rw, StateArena, struct, u8, u32 } from '@sidecard/core';
import { expect, test } from 'vitest';

const Registers = registers(0x20, {
  control: u32(0, { enable: rw(0), mode: rw(7, 4, 3) }),
  bells: array(2, 4, { tail: u32(8, rw) }),
});
const Queue = struct(16, { base: le64(0), size: le32(8), head: le32(12) });

test('what is asked for by name again is the same bytes', () => {
  const arena = StateArena.alloc();
  const first = Registers.create(arena.registers('card/registers', Registers));
  expect(first.control.mode).toBe(3);
  first.control.mode = 9;
  expect(Registers.create(arena.registers('card/registers', Registers)).control.mode).toBe(9);
});

test('a successor finds everything by attaching to the same memory', () => {
  const arena = StateArena.alloc();
  expect(arena.inherited).toBe(false);
  const queue = arena.record('card/queue', Queue);
  queue.base = 0x1_2345_6000;
  const slots = arena.table('card/slots', { state: 'u8', iova: { type: 'f64', unit: 'bytes' }, step: 'i32' }, 5);
  slots.state[4] = 3;
  slots.iova[4] = 2 ** 40;
  arena.bytes('card/text', 10).bytes[9] = 7;
  arena.records('card/queues', Queue, 3)[2]!.head = 12;

  const successor = new StateArena(arena.buffer);
  expect(successor.inherited).toBe(true);
  expect(successor.record('card/queue', Queue).base).toBe(0x1_2345_6000);
  const inherited = successor.table(
    'card/slots',
    { state: 'u8', iova: { type: 'f64', unit: 'bytes' }, step: 'i32' },
    5,
  );
  expect([inherited.state[4], inherited.iova[4], inherited.step[4]]).toEqual([3, 2 ** 40, 0]);
  expect(successor.bytes('card/text', 10).bytes[9]).toBe(7);
  expect(successor.records('card/queues', Queue, 3)[2]!.head).toBe(12);
});

test('the layout describes itself in the arena', () => {
  const arena = StateArena.alloc();
  arena.registers('card/registers', Registers);
  arena.table('card/slots', { iova: { type: 'f64', unit: 'bytes' } }, 2);
  const entries = [...new StateArena(arena.buffer).entries];
  expect(entries.map(({ name, kind }) => [name, kind])).toEqual([
    ['card/registers', 'registers'],
    ['card/slots', 'table'],
  ]);
  const [enable, mode] = (entries[0]!.layout as { bits: unknown[] }[])[0]!.bits;
  expect([enable, mode]).toEqual([
    { name: 'enable', msb: 0, lsb: 0, mode: 'rw' },
    { name: 'mode', msb: 7, lsb: 4, mode: 'rw' },
  ]);
  expect(entries[1]!.layout).toEqual([{ name: 'iova', type: 'f64', unit: 'bytes', offset: 0, count: 2 }]);
});

test('entries are aligned to a cache line and never overlap', () => {
  const arena = StateArena.alloc();
  const pieces = [1, 64, 65, 3].map((size, i) => arena.bytes(`p${i}`, size));
  for (const [i, piece] of pieces.entries()) {
    expect(piece.byteOffset % 64).toBe(0);
    if (i > 0) expect(piece.byteOffset).toBeGreaterThanOrEqual(pieces[i - 1]!.byteOffset + pieces[i - 1]!.lengthBytes);
  }
});

test('another layout under a known name, too much, and memory that is no arena are refused', () => {
  const arena = StateArena.alloc(65536);
  arena.record('queue', Queue);
  expect(() => arena.bytes('queue', 16)).toThrow('another layout');
  expect(() => arena.records('queue', Queue, 2)).toThrow('another layout');
  expect(() => arena.record('queue', struct(16, { base: le64(0) }))).toThrow('another layout');
  expect(() => arena.bytes('big', 65536)).toThrow('the arena is full at big');
  expect(() => new StateArena(new ArrayBuffer(100))).toThrow('an arena of 100 bytes');
  const noise = new ArrayBuffer(65536);
  new Uint8Array(noise).fill(3);
  expect(() => new StateArena(noise)).toThrow('no arena');
  const later = StateArena.alloc(65536);
  new Int32Array(later.buffer)[1] = 99;
  expect(() => new StateArena(later.buffer)).toThrow('format 99');
});

test('a full directory is refused, and what was there before stays', () => {
  const arena = StateArena.alloc(65536);
  expect(() => {
    for (let i = 0; i < 1000; i++) arena.bytes(`a/rather/long/name/of/an/entry/${i}`, 1);
  }).toThrow('directory is full');
  expect([...new StateArena(arena.buffer).entries].length).toBeGreaterThan(50);
});

test('stores of a register named by a byte of its own', () => {
  const Small = registers(2, { a: u8(0, rw), b: u8(1, rw) });
  const arena = StateArena.alloc();
  const regs = Small.create(arena.registers('small', Small));
  arena.turn(() => {
    regs.b = 4;
    regs.write(0, new Uint8Array([1, 2]), 0, 2);
  });
  expect([regs.a, regs.b]).toEqual([1, 2]);
});

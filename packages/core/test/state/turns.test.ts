import { le32, le64, registers, rw, StateArena, struct, u32, u64, w1c } from '@sidecard/core';
import { expect, test } from 'vitest';
import { afterEachStore } from './stores.ts';

const Registers = registers(0x20, {
  control: u32(0, { mode: rw(7, 4) }),
  base: u64(8, rw, 0x1111),
  events: u32(16, w1c, 0xff),
});
const Queue = struct(16, { base: le64(0), size: le32(8), head: le32(12) });

function card(buffer?: ArrayBuffer) {
  const arena = buffer ? new StateArena(buffer) : StateArena.alloc(65536);
  const regs = Registers.create(arena.registers('registers', Registers));
  const queue = arena.record('queue', Queue);
  const slots = arena.table('slots', { step: 'i32' }, 4);
  const text = arena.bytes('text', 100);
  return { arena, regs, queue, slots, text };
}
type Card = ReturnType<typeof card>;

function state({ regs, queue, slots, text }: Card): string {
  return JSON.stringify([[...regs.bytes.bytes], [...queue.buffer.bytes], [...slots.step], [...text.bytes]]);
}

function manyStores({ arena, regs, queue, slots, text }: Card): void {
  arena.turn(() => {
    regs.control.mode = 5;
    regs.base = 0x2222_3333_4444;
    regs.write(6, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), 0, 12);
    queue.base = 0x1_0000_1000;
    queue.head = 3;
    queue.head = 4;
    arena.touchRow(slots.step, 2);
    slots.step[2] = 77;
    arena.touch(text, 10, 80);
    text.bytes.fill(9, 10, 90);
    regs.reset();
  });
}

test('a process killed at any store leaves the state before the turn, or after it', () => {
  const it = card();
  it.queue.size = 64;
  it.regs.base = 0x5555_5555_5555;
  const before = state(it);
  const memories = afterEachStore(it.arena.buffer, () => manyStores(it));
  const after = state(it);
  expect(after).not.toBe(before);
  expect(memories.length).toBeGreaterThan(150);
  const seen = memories.map((memory) => state(card(memory)));
  const commit = seen.indexOf(after);
  expect(new Set(seen.slice(0, commit))).toEqual(new Set([before]));
  expect(new Set(seen.slice(commit))).toEqual(new Set([after]));
});

test('a successor killed at any store of its own recovery leaves the state before the turn', () => {
  const it = card();
  const before = state(it);
  it.arena.begin();
  it.regs.base = 1;
  it.queue.base = 2;
  it.regs.base = 3;
  const dead = it.arena.buffer.slice(0);
  const memories = afterEachStore(dead, () => new StateArena(dead));
  expect(memories.length).toBeGreaterThan(4);
  for (const memory of memories) expect(state(card(memory))).toBe(before);
});

test('a process killed at any store of an allocation leaves the arena without the entry, or with all of it', () => {
  const it = card();
  const memories = afterEachStore(it.arena.buffer, () => it.arena.registers('more', Registers));
  for (const memory of memories) {
    const regs = Registers.create(new StateArena(memory).registers('more', Registers));
    expect([regs.base, regs.events]).toEqual([0x1111, 0xff]);
  }
});

test('an exception rolls the turn back', () => {
  const it = card();
  const before = state(it);
  expect(() =>
    it.arena.turn(() => {
      it.queue.head = 9;
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(state(it)).toBe(before);
  it.arena.turn(() => {
    it.queue.head = 9;
  });
  expect(it.queue.head).toBe(9);
});

test('a turn inside of a turn is a part of it', () => {
  const it = card();
  const before = state(it);
  it.arena.turn(() => {
    it.queue.head = 1;
    try {
      it.arena.turn(() => {
        it.queue.size = 2;
        throw new Error('inner');
      });
    } catch {}
    it.queue.base = 3;
  });
  expect(state(it)).toBe(before);
  it.arena.turn(() => it.arena.turn(() => Object.assign(it.queue, { head: 1 })));
  expect(it.queue.head).toBe(1);
  expect(() => it.arena.end()).toThrow('no turn is open');
});

test('stores outside of turns are kept as they are', () => {
  const it = card();
  it.queue.head = 5;
  expect(new StateArena(it.arena.buffer).recover()).toBe(false);
  expect(it.queue.head).toBe(5);
});

test('a turn that overflows the log is an error and changes nothing', () => {
  const it = card();
  const before = state(it);
  expect(() =>
    it.arena.turn(() => {
      for (let i = 0; i < 2000; i++) {
        it.queue.head = i;
        it.queue.size = i;
      }
    }),
  ).toThrow('overflows its undo log');
  expect(state(it)).toBe(before);
});

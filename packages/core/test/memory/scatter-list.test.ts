import { FakeNative } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ScatterList } from '../../src/memory/guest-memory.ts';
import type { Segments } from '../../src/memory/segments.ts';
import { Guest, natives, PAGE, pattern, Step } from './guest.ts';
import { MessageClient } from './message-client.ts';

const contents = (segments: Segments): number[] => {
  const bytes: number[] = [];
  for (let i = 0; i < segments.count; i++) {
    const at = segments.offset[i]!;
    bytes.push(...segments.area[i]!.bytes.subarray(at, at + segments.length[i]!));
  }
  return bytes;
};

const fill = (segments: Segments, from: Uint8Array): void => {
  let done = 0;
  for (let i = 0; i < segments.count; i++) {
    const length = segments.length[i]!;
    segments.area[i]!.bytes.set(from.subarray(done, done + length), segments.offset[i]!);
    done += length;
  }
};

describe.each(natives)('lists of mapped memory, %s', (_name, native) => {
  let guest: Guest;
  let list: ScatterList;
  beforeEach(() => {
    guest = new Guest(native());
    guest.map(0, 16 * PAGE, 16 * PAGE);
    list = guest.memory.scatterList(8);
  });
  afterEach(() => guest.close());

  test('are the memory itself', () => {
    guest.ram.bytes.set(pattern(3 * PAGE).bytes, 16 * PAGE);
    list.begin('toDevice');
    expect(list.add(0, PAGE)).toBe(true);
    expect(list.add(PAGE, 100)).toBe(true);
    expect(list.add(2 * PAGE, 50)).toBe(true);
    expect(list.lengthBytes).toBe(PAGE + 150);
    expect(list.segments.count).toBe(2);
    expect(Step.run((task) => list.fetch(task)).result).toBe('done');
    const bytes = pattern(3 * PAGE).bytes;
    expect(contents(list.segments)).toEqual([
      ...bytes.subarray(0, PAGE + 100),
      ...bytes.subarray(2 * PAGE, 2 * PAGE + 50),
    ]);
    list.release();
    list.begin('toGuest');
    expect(list.lengthBytes).toBe(0);
    list.add(3 * PAGE + 5, 1000);
    fill(list.segments, pattern(1000, 3).bytes);
    expect(Step.run((task) => list.flush(task)).result).toBe('done');
    expect(guest.ram.bytes.subarray(19 * PAGE + 5, 19 * PAGE + 1005)).toEqual(pattern(1000, 3).bytes);
    list.release();
  });

  test('take addresses in two words, as descriptors have them', () => {
    const high = 0x12_3456_7000;
    guest.map(high, 4 * PAGE, 40 * PAGE);
    guest.map(high + 4 * PAGE, 4 * PAGE, 50 * PAGE);
    guest.ram.bytes.set(pattern(64 * PAGE).bytes);
    const words = Int32Array.of(0, 0x5678_9000 | 0, 0x1234, 0, 0, 0x3456_7000 | 0, 0x12);
    list.begin('toDevice');
    expect(list.addAt(words, 5, 100)).toBe(true);
    expect(list.addAt(words, 3, 50)).toBe(true);
    // Into the next region; and then again, where the last one was.
    expect(list.addAt(words, 5, 5 * PAGE)).toBe(true);
    expect(list.addAt(words, 5, 7)).toBe(true);
    expect(list.addAt(words, 1, 1)).toBe(false);
    const { bytes } = guest.ram;
    expect(contents(list.segments)).toEqual([
      ...bytes.subarray(40 * PAGE, 40 * PAGE + 100),
      ...bytes.subarray(16 * PAGE, 16 * PAGE + 50),
      ...bytes.subarray(40 * PAGE, 44 * PAGE),
      ...bytes.subarray(50 * PAGE, 51 * PAGE),
      ...bytes.subarray(40 * PAGE, 40 * PAGE + 7),
    ]);
    list.release();
    expect(guest.memory.unmapAll()).toBe('done');
  });

  test('the handle of a segment names the mapping that its bytes are in', () => {
    list.begin('toGuest');
    list.add(PAGE, 8);
    expect(list.segments.area[0]!.buffer.byteLength).toBeGreaterThanOrEqual(64 * PAGE);
    const handle = guest.native.mapping(list.segments.area[0]!.buffer);
    expect(list.segments.handle[0]).toBe(handle);
    list.release();
  });

  test('are full at their size, and refuse what is not there', () => {
    list.begin('toDevice');
    for (let i = 0; i < 8; i++) expect(list.add(i * 2 * PAGE, 8)).toBe(true);
    expect(list.add(PAGE, 8)).toBe(false);
    list.release();
    list.begin('toDevice');
    expect(list.add(15 * PAGE, PAGE + 1)).toBe(false);
    list.release();
    expect(guest.memory.unmap(0, 16 * PAGE)).toBe('done');
  });

  test('split at regions, and never lose count of their pins', () => {
    for (let i = 0; i < 16; i++) guest.map((32 + i) * PAGE, PAGE, i * PAGE);
    list.begin('toDevice');
    expect(list.add(32 * PAGE, 8 * PAGE)).toBe(true);
    expect(list.segments.count).toBe(1);
    expect(list.add(40 * PAGE, PAGE)).toBe(false);
    expect(guest.memory.unmapAll()).toBe('draining');
    list.release();
    guest.memory.poll();
    expect(guest.memory.draining).toBe(0);
    expect(guest.memory.fileCount).toBe(0);
  });

  test('an unmapped region drains until the list lets it go', () => {
    const drained: number[][] = [];
    guest.memory.onDrained = (iova, sizeBytes) => drained.push([iova, sizeBytes]);
    const other = guest.memory.scatterList(2);
    list.begin('toGuest');
    list.add(0, 100);
    other.begin('toDevice');
    other.add(PAGE, 100);
    expect(guest.memory.unmap(0, 16 * PAGE)).toBe('draining');
    expect(guest.memory.unmap(0, 16 * PAGE)).toBe(2);
    const late = guest.memory.scatterList(2);
    late.begin('toGuest');
    expect(late.add(0, 100)).toBe(false);
    late.release();
    // The same addresses can be mapped again meanwhile.
    expect(guest.map(0, 16 * PAGE, 0)).toBe(0);
    fill(list.segments, pattern(100).bytes);
    expect(guest.ram.bytes.subarray(16 * PAGE, 16 * PAGE + 100)).toEqual(pattern(100).bytes);
    list.release();
    guest.memory.poll();
    expect(drained).toEqual([]);
    other.release();
    expect(drained).toEqual([]);
    expect(guest.memory.draining).toBe(1);
    expect(guest.memory.arm()).toBe(false);
    expect(guest.memory.poll()).toBe(true);
    expect(drained).toEqual([[0, 16 * PAGE]]);
    expect(guest.memory.draining).toBe(0);
  });

  test('nobody is told of what drains after a disconnect, and it is let go', () => {
    guest.memory.onDrained = () => expect.fail('told');
    list.begin('toGuest');
    list.add(0, 100);
    expect(guest.memory.unmap(0, 16 * PAGE)).toBe('draining');
    guest.memory.disconnect();
    expect(guest.memory.fileCount).toBe(1);
    list.release();
    guest.memory.poll();
    expect(guest.memory.draining).toBe(0);
    expect(guest.memory.fileCount).toBe(0);
  });

  test('a file cut under a list is a fault', () => {
    list.begin('toGuest');
    list.add(0, 100);
    guest.native.truncate(guest.fd, PAGE);
    fill(list.segments, pattern(100).bytes);
    expect(Step.run((task) => list.flush(task)).result).toBe('fault');
    list.release();
  });
});

describe('lists of memory behind messages', () => {
  const BASE = 0x100_0000;
  let guest: Guest;
  let client: MessageClient;
  let list: ScatterList;
  beforeEach(() => {
    guest = new Guest(new FakeNative(), 64 * PAGE, { stagingLimitBytes: 16 * 2 ** 20 });
    client = new MessageClient(guest.memory, BASE, 1024 * PAGE);
    guest.memory.connect(client);
    guest.mapMessages(BASE, 1024 * PAGE);
    guest.map(0, 16 * PAGE, 0);
    list = guest.memory.scatterList(40);
  });
  afterEach(() => guest.close());

  test('are fetched before and flushed after', () => {
    client.ram.set(pattern(20_000).bytes);
    guest.ram.bytes.set(pattern(100, 9).bytes);
    list.begin('toDevice');
    expect(list.add(BASE, 10_000)).toBe(true);
    expect(list.add(0, 100)).toBe(true);
    expect(list.add(BASE + 15_000, 5_000)).toBe(true);
    const task = Step.run((self) => list.fetch(self));
    expect(task.result).toBe('pending');
    client.answerAll();
    guest.memory.poll();
    expect(task.result).toBe('done');
    const all = pattern(20_000).bytes;
    const expected = [...all.subarray(0, 10_000), ...pattern(100, 9).bytes, ...all.subarray(15_000)];
    expect(contents(list.segments)).toEqual(expected);
    list.release();

    list.begin('toGuest');
    list.add(BASE + 100, 5_000);
    list.add(PAGE, 100);
    fill(list.segments, pattern(5_100, 4).bytes);
    const back = Step.run((self) => list.flush(self));
    expect(back.result).toBe('pending');
    client.answerAll();
    guest.memory.poll();
    expect(back.result).toBe('done');
    expect(client.ram.subarray(100, 5_100)).toEqual(pattern(5_100, 4).bytes.subarray(0, 5_000));
    expect(guest.ram.bytes.subarray(PAGE, PAGE + 100)).toEqual(pattern(5_100, 4).bytes.subarray(5_000));
    list.release();
  });

  test('pages in a row are few messages', () => {
    list.begin('toDevice');
    for (let i = 0; i < 32; i++) list.add(BASE + i * PAGE, PAGE);
    expect(list.segments.count).toBe(1);
    Step.run((self) => list.fetch(self));
    expect(client.messages.map((message) => message.lengthBytes)).toEqual([32768, 32768, 32768, 32768]);
    client.answerAll();
    list.release();
  });

  test('a buffer is zeroes at first, and nobody is sent what is in it', () => {
    for (let round = 0; round < 2; round++) {
      list.begin('toGuest');
      expect(list.addBuffer(5000)).toBe(true);
      expect(contents(list.segments)).toEqual(new Array(5000).fill(0));
      fill(list.segments, pattern(5000).bytes);
      expect(Step.run((self) => list.flush(self)).result).toBe('done');
      list.release();
    }
    expect(client.sent.length).toBe(0);
  });

  test('what nobody wants takes memory once, however many lists have it', () => {
    const native = guest.native as FakeNative;
    const before = native.mappings;
    const others = Array.from({ length: 20 }, () => guest.memory.scatterList(42));
    for (const one of others) {
      one.begin('toGuest');
      expect(one.add(BASE, 100)).toBe(true);
      // Forty times the room that they share.
      expect(one.addSink(2.5 * 2 ** 20)).toBe(true);
      expect(one.lengthBytes).toBe(100 + 2.5 * 2 ** 20);
      fill(one.segments, pattern(one.lengthBytes).bytes);
    }
    expect(native.mappings).toBe(before + 1);
    const task = Step.run((self) => others[0]!.flush(self));
    client.answerAll();
    guest.memory.poll();
    expect(task.result).toBe('done');
    expect(client.sent).toHaveLength(1);
    expect(client.ram.subarray(0, 100)).toEqual(pattern(100).bytes);
    for (const one of others) one.release();
    guest.memory.disconnect();
    expect(native.mappings).toBeLessThan(before + 1);
  });

  test('pieces of any length are one here, and take no page each', () => {
    list.begin('toDevice');
    client.ram.set(pattern(40 * PAGE).bytes);
    const expected: number[] = [];
    let total = 0;
    for (let i = 0; i < 38; i++) {
      const [at, length] = [i * PAGE + i, 1 + ((i * 1337) % 3000)];
      expect(list.add(BASE + at, length)).toBe(true);
      expected.push(...client.ram.subarray(at, at + length));
      total += length;
    }
    expect(list.segments.count).toBe(1);
    expect(list.segments.length[0]).toBe(total);
    const task = Step.run((self) => list.fetch(self));
    for (; task.result === 'pending'; guest.memory.poll()) client.answerAll();
    expect(task.result).toBe('done');
    expect(contents(list.segments)).toEqual(expected);
    list.release();
  });

  test('staging is bounded, and comes back', () => {
    const big = guest.memory.scatterList(4);
    list.begin('toGuest');
    expect(list.add(BASE, 4 * 2 ** 20)).toBe(true);
    big.begin('toGuest');
    for (let i = 0; i < 3; i++) expect(big.add(BASE, 4 * 2 ** 20)).toBe(true);
    expect(big.add(BASE, 4096)).toBe(false);
    list.release();
    expect(big.add(BASE, 4096)).toBe(true);
    big.release();
    for (let i = 0; i < 100; i++) {
      list.begin('toGuest');
      expect(list.add(BASE, 4 * 2 ** 20)).toBe(true);
      list.release();
    }
  });

  test('staging in crumbs takes a large piece all the same', () => {
    const lists = [guest.memory.scatterList(2048), guest.memory.scatterList(2048)];
    for (const one of lists) one.begin('toGuest');
    for (let page = 0; page < 4096; page++) expect(lists[page % 2]!.add(BASE, PAGE)).toBe(true);
    lists[0]!.release();
    // No two pages that are free touch now.
    list.begin('toGuest');
    expect(list.add(BASE, 30 * PAGE + 5)).toBe(true);
    expect(list.lengthBytes).toBe(30 * PAGE + 5);
    list.release();
    lists[1]!.release();
    list.begin('toGuest');
    expect(list.add(BASE, 4 * 2 ** 20)).toBe(true);
    expect(list.segments.count).toBe(1);
    list.release();
  });

  test('a client that goes takes its staging memory with it, also what is still in use', () => {
    const native = guest.native as FakeNative;
    const before = native.mappings;
    list.begin('toGuest');
    expect(list.add(BASE, 8192)).toBe(true);
    expect(native.mappings).toBe(before + 1);
    guest.memory.disconnect();
    const after = native.mappings;
    list.release();
    expect(native.mappings).toBe(after - 1);
  });

  test('a list released while it is fetched is forgotten: answers go nowhere', () => {
    list.begin('toDevice');
    list.add(BASE, 8192);
    const task = Step.run((self) => list.fetch(self));
    const [late] = client.messages;
    list.release();
    const other = guest.memory.scatterList(4);
    other.begin('toGuest');
    other.add(BASE, 8192);
    client.ram.fill(0xee, 0, 8192);
    client.answer(late);
    guest.memory.poll();
    expect(task.resumed).toBe(0);
    expect(contents(other.segments).every((byte) => byte === 0)).toBe(true);
    other.release();
  });

  test('cancelled: the task faults, the list can be used again', () => {
    list.begin('toDevice');
    list.add(BASE, 8192);
    const task = Step.run((self) => list.fetch(self));
    guest.memory.dmaCancelled();
    guest.memory.poll();
    expect(task.result).toBe('fault');
    list.release();
    list.begin('toDevice');
    list.add(BASE, 16);
    const again = Step.run((self) => list.fetch(self));
    client.answerAll();
    guest.memory.poll();
    expect(again.result).toBe('done');
    list.release();
  });
});

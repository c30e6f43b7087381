import { FakeNative, type Native } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HostBuffer } from '../../src/bits/host-buffer.ts';
import { ClientMemory } from '../../src/memory/client-memory.ts';
import { Guest, PAGE, pattern, Step } from './guest.ts';
import { MessageClient } from './message-client.ts';

const BASE = 0x100_0000;
const SIZE = 1024 * PAGE;

let guest: Guest;
let client: MessageClient;

beforeEach(() => {
  guest = new Guest(new FakeNative());
  client = new MessageClient(guest.memory, BASE, SIZE);
  guest.memory.connect(client);
  guest.mapMessages(BASE, SIZE);
});
afterEach(() => guest.close());

const loading = (iova: number, target: HostBuffer) =>
  Step.run((task) => guest.memory.load(task, iova, target, 0, target.lengthBytes));
const storing = (iova: number, source: HostBuffer) =>
  Step.run((task) => guest.memory.store(task, iova, source, 0, source.lengthBytes));

test('a load is a message, and its task goes on from poll', () => {
  client.ram.set([1, 2, 3, 4], 16);
  const target = HostBuffer.alloc(4);
  const task = loading(BASE + 16, target);
  expect(task.result).toBe('pending');
  expect(guest.memory.poll()).toBe(false);
  client.answer();
  expect(task.resumed).toBe(0);
  expect(guest.memory.arm()).toBe(false);
  expect(guest.memory.poll()).toBe(true);
  expect(task.result).toBe('done');
  expect([...target.bytes]).toEqual([1, 2, 3, 4]);
  expect(guest.memory.arm()).toBe(true);
  expect(guest.memory.poll()).toBe(false);
});

test('a channel that answers at once makes it a call', () => {
  const read = client.read.bind(client);
  client.read = (...message) => {
    const taken = read(...message);
    client.answer();
    return taken;
  };
  const target = HostBuffer.alloc(100_000);
  client.ram.set(pattern(100_000).bytes);
  expect(loading(BASE, target).result).toBe('done');
  expect(target.bytes).toEqual(pattern(100_000).bytes);
  expect(guest.memory.poll()).toBe(false);
});

test('a long transfer is messages of at most 32 KiB, a bounded number at a time', () => {
  const source = pattern(900_000);
  const task = storing(BASE + 10, source);
  expect(client.messages.length).toBe(16);
  expect(client.messages.every((message) => message.lengthBytes <= 32 * 1024)).toBe(true);
  client.answer();
  expect(client.messages.length).toBe(16);
  while (client.messages.length > 0) {
    client.answer(client.messages[client.messages.length - 1]);
    guest.memory.poll();
  }
  expect(task.result).toBe('done');
  expect(client.ram.subarray(10, 900_010)).toEqual(source.bytes);
  const target = HostBuffer.alloc(900_000);
  const back = loading(BASE + 10, target);
  client.answerAll();
  guest.memory.poll();
  expect(back.result).toBe('done');
  expect(target.bytes).toEqual(source.bytes);
});

test('a client that takes less gets less', () => {
  Object.assign(client, { maxLengthBytes: 4096 });
  storing(BASE, pattern(10_000));
  expect(client.messages.map((message) => message.lengthBytes)).toEqual([4096, 4096, 1808]);
});

test('what the channel does not take now is asked again', () => {
  client.capacity = 1;
  const tasks = [0, 1, 2].map((i) => storing(BASE + i * 64, pattern(64, i)));
  expect(client.messages.length).toBe(1);
  for (let i = 0; i < 3; i++) {
    client.answer();
    guest.memory.poll();
  }
  expect(tasks.map((task) => task.result)).toEqual(['done', 'done', 'done']);
  expect(client.sent.map((message) => message.iova - BASE)).toEqual([0, 64, 128]);
});

test('publishing writes the last word in a message of its own, after the others', () => {
  const task = Step.run((self) => guest.memory.publish(self, BASE, pattern(16), 0, 16));
  expect(client.messages.map(({ iova, lengthBytes }) => [iova - BASE, lengthBytes])).toEqual([
    [0, 12],
    [12, 4],
  ]);
  client.answerAll();
  guest.memory.poll();
  expect(task.result).toBe('done');
  expect(client.ram.subarray(0, 16)).toEqual(pattern(16).bytes);
});

test('across memory of both kinds the published word waits for the words before it', () => {
  guest.map(BASE + SIZE, PAGE, 0);
  const task = Step.run((self) => guest.memory.publish(self, BASE + SIZE - 12, pattern(16), 0, 16));
  expect(client.messages.length).toBe(1);
  expect(guest.ram.words[0]).toBe(0);
  client.answer();
  expect(guest.ram.bytes.subarray(0, 4)).toEqual(pattern(16).bytes.subarray(12));
  guest.memory.poll();
  expect(task.result).toBe('done');
});

test('an error answer is a fault, once everything that was asked for has been answered', () => {
  const target = HostBuffer.alloc(100_000);
  const task = loading(BASE, target);
  client.answer(client.messages[1], 14);
  guest.memory.poll();
  expect(task.result).toBe('pending');
  client.answerAll();
  guest.memory.poll();
  expect(task.result).toBe('fault');
});

test('a short answer is a fault', () => {
  const task = loading(BASE, HostBuffer.alloc(64));
  const [message] = client.messages;
  guest.memory.dmaReplied(message!.token, 0, new Uint8Array(64), 0, 32);
  guest.memory.poll();
  expect(task.result).toBe('fault');
});

test('holes and permissions fault without a message', () => {
  guest.mapMessages(BASE + SIZE + PAGE, PAGE, 'r');
  expect(loading(BASE + SIZE - 4, HostBuffer.alloc(8)).result).toBe('fault');
  expect(storing(BASE + SIZE + PAGE, pattern(8)).result).toBe('fault');
  guest.memory.busMaster = false;
  expect(loading(BASE, HostBuffer.alloc(8)).result).toBe('fault');
  expect(client.sent.length).toBe(0);
});

test('cancelled accesses fault, and answers that still come are dropped', () => {
  const target = HostBuffer.alloc(64);
  const task = loading(BASE, target);
  const waiting = Array.from({ length: 30 }, (_, i) => storing(BASE + PAGE * i, pattern(64, i)));
  const late = [...client.messages];
  guest.memory.dmaCancelled();
  expect(task.resumed).toBe(0);
  guest.memory.poll();
  expect([task, ...waiting].map(({ result }) => result)).toEqual(new Array(31).fill('fault'));
  // New accesses use the same slots; the late answers name past generations.
  const fresh = HostBuffer.alloc(64);
  client.ram.fill(7, 0, 64);
  const again = loading(BASE, fresh);
  client.ram.fill(9, 0, 64);
  for (const message of late) client.answer(message);
  guest.memory.poll();
  expect(again.result).toBe('pending');
  expect(target.bytes[0]).toBe(0);
  client.answerAll();
  guest.memory.poll();
  expect(again.result).toBe('done');
  expect(again.resumed).toBe(1);
});

test('a token means nothing to a stranger', () => {
  for (const token of [-1, 0, 5, 1e9, 2 ** 31]) guest.memory.dmaReplied(token, 0, new Uint8Array(8), 0, 8);
  expect(guest.memory.poll()).toBe(false);
});

test('a disconnect ends everything under way, and the next client starts clean', () => {
  const task = loading(BASE, HostBuffer.alloc(64));
  const [late] = client.messages;
  guest.memory.disconnect();
  expect(guest.memory.count).toBe(0);
  guest.memory.poll();
  expect(task.result).toBe('fault');
  expect(loading(BASE, HostBuffer.alloc(64)).result).toBe('fault');
  const next = new MessageClient(guest.memory, BASE, SIZE);
  next.ram.fill(5);
  guest.memory.connect(next);
  guest.mapMessages(BASE, SIZE);
  const target = HostBuffer.alloc(4);
  const again = loading(BASE, target);
  client.answer(late);
  next.answerAll();
  guest.memory.poll();
  expect(again.result).toBe('done');
  expect([...target.bytes]).toEqual([5, 5, 5, 5]);
});

test('a region unmapped while it is read: what was not asked for yet faults', () => {
  const task = loading(BASE, HostBuffer.alloc(900_000));
  expect(guest.memory.unmap(BASE, SIZE)).toBe('done');
  client.answerAll();
  guest.memory.poll();
  expect(task.result).toBe('fault');
  expect(client.sent.length).toBe(16);
});

test('a task that does something else when it is resumed finds no answer left over', () => {
  const target = HostBuffer.alloc(8);
  let rounds = 0;
  const task = Step.run((self) => {
    if (rounds++ === 1) return 'abandoned';
    return guest.memory.load(self, BASE, target, 0, 8);
  });
  client.answer();
  guest.memory.poll();
  expect(task.result).toBe('abandoned');
  task.resume();
  expect(task.result).toBe('pending');
});

describe('files that cannot be mapped', () => {
  const unmappable = (): Native => {
    const native = new FakeNative();
    return Object.assign(native, { map: () => -19 }) as Native;
  };

  test('are read and written', () => {
    const native = unmappable();
    const fd = native.memfd('guest', 64 * PAGE);
    const device = new ClientMemory({ native });
    device.busMaster = true;
    const region = { iova: 0, sizeBytes: 32 * PAGE, fd: native.dup(fd), offset: PAGE, readable: true, writable: true };
    expect(device.map(region)).toBe(0);
    expect(device.mapped).toBe(false);
    const source = pattern(100_000);
    expect(Step.run((task) => device.store(task, 50, source, 0, 100_000)).result).toBe('done');
    const target = HostBuffer.alloc(100_000);
    expect(Step.run((task) => device.load(task, 50, target, 0, 100_000)).result).toBe('done');
    expect(target.bytes).toEqual(source.bytes);
    expect(device.peekWord(0)).toBe(-1);
    expect(Step.run((task) => device.publish(task, 0, source, 0, 16)).result).toBe('done');
    native.truncate(fd, 4 * PAGE);
    expect(Step.run((task) => device.load(task, 0, target, 0, 100_000)).result).toBe('fault');
    device.disconnect();
  });
});

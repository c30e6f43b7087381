import { expect, test } from 'vitest';
import { writeHeader } from '../../src/protocol/encoding.ts';
import type { FdList } from '../../src/protocol/fd-list.ts';
import { HEADER_BYTES } from '../../src/protocol/messages.ts';
import type { Channel } from '../../src/server/channel.ts';
import { Outbox } from '../../src/server/outbox.ts';

/** Takes what a test allows, and remembers each call. */
class Peer implements Channel {
  allowedBytes = Number.POSITIVE_INFINITY;
  readonly calls: { lengthBytes: number; taken: number; fds: number[] }[] = [];
  readonly bytes: number[] = [];

  receive(): number {
    return 0;
  }

  send(source: Uint8Array, at: number, lengthBytes: number, fds: FdList): number {
    const taken = Math.min(lengthBytes, this.allowedBytes);
    this.allowedBytes -= taken;
    if (taken === 0) return 0;
    this.calls.push({ lengthBytes, taken, fds: [...fds.fds.subarray(0, fds.count)] });
    for (let i = 0; i < taken; i++) this.bytes.push(source[at + i]!);
    return taken;
  }

  close(): void {}
}

function put(outbox: Outbox, id: number, payloadBytes: number): boolean {
  const sizeBytes = HEADER_BYTES + payloadBytes;
  const at = outbox.reserve(sizeBytes);
  if (at < 0) return false;
  outbox.buffer.bytes.fill(id & 0xff, at, at + sizeBytes);
  writeHeader(outbox.buffer.view, at, id, 9, sizeBytes, 1, 0);
  outbox.commit(sizeBytes);
  return true;
}

/** The ids of the messages in a stream, which must be whole. */
function ids(bytes: readonly number[]): number[] {
  const view = new DataView(new Uint8Array(bytes).buffer);
  const found: number[] = [];
  for (let at = 0; at < bytes.length; at += view.getUint32(at + 4, true)) found.push(view.getUint16(at, true));
  return found;
}

test('messages that wait together go in one call', () => {
  const outbox = new Outbox(100_000);
  const peer = new Peer();
  for (let id = 1; id <= 5; id++) put(outbox, id, 17);
  expect(outbox.flush(peer)).toBe(0);
  expect(peer.calls).toEqual([{ lengthBytes: 5 * 33, taken: 5 * 33, fds: [] }]);
  expect(outbox.usedBytes).toBe(0);
});

test('a message with a descriptor begins a call of its own', () => {
  const outbox = new Outbox(100_000);
  const peer = new Peer();
  put(outbox, 1, 0);
  outbox.attach(7, false);
  put(outbox, 2, 0);
  outbox.attach(8, true);
  put(outbox, 3, 0);
  put(outbox, 4, 0);
  outbox.flush(peer);
  expect(peer.calls.map((call) => call.fds)).toEqual([[], [7], [8], []]);
  expect(ids(peer.bytes)).toEqual([1, 2, 3, 4]);
  expect(outbox.sentFds).toEqual([8]);
});

test('no call begins within a header: batches are whole messages', () => {
  const outbox = new Outbox(400_000);
  const peer = new Peer();
  for (let id = 1; id <= 100; id++) put(outbox, id, 3000);
  outbox.flush(peer);
  for (const call of peer.calls) {
    expect(call.lengthBytes % 3016).toBe(0);
    expect(call.lengthBytes).toBeLessThanOrEqual(32 * 1024);
  }
  expect(ids(peer.bytes)).toHaveLength(100);
});

test('what the peer does not take stays, in order, bounded, and is sent later', () => {
  const outbox = new Outbox(10_000);
  const peer = new Peer();
  const sent: number[] = [];
  let id = 0;
  for (let round = 0; round < 400; round++) {
    peer.allowedBytes = (round * 37) % 500;
    while (put(outbox, id + 1, (id * 53) % 900)) sent.push(++id);
    expect(outbox.usedBytes).toBeLessThanOrEqual(10_000);
    outbox.flush(peer);
  }
  peer.allowedBytes = Number.POSITIVE_INFINITY;
  outbox.flush(peer);
  expect(ids(peer.bytes)).toEqual(sent);
});

test('a descriptor goes once, with the first byte of its message', () => {
  const outbox = new Outbox(200_000);
  const peer = new Peer();
  outbox.attach(9, true);
  put(outbox, 1, 100_000);
  peer.allowedBytes = 40_000;
  outbox.flush(peer);
  peer.allowedBytes = Number.POSITIVE_INFINITY;
  outbox.flush(peer);
  expect(peer.calls.map((call) => call.fds)).toEqual([[9], []]);
  expect(outbox.sentFds).toEqual([9]);
});

test('forgetting closes what was to be handed over', () => {
  const outbox = new Outbox(1000);
  outbox.attach(5, true);
  put(outbox, 1, 0);
  outbox.attach(6, false);
  put(outbox, 2, 0);
  const closed: number[] = [];
  outbox.clear((fd) => closed.push(fd));
  expect(closed).toEqual([5]);
});

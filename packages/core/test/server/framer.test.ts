import { expect, test } from 'vitest';
import { writeHeader } from '../../src/protocol/encoding.ts';
import { Frame, Framer } from '../../src/protocol/framer.ts';
import { HEADER_BYTES, MAX_MESSAGE_BYTES } from '../../src/protocol/messages.ts';

function message(id: number, payloadBytes: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payloadBytes).fill(id & 0xff);
  writeHeader(new DataView(bytes.buffer), 0, id, 9, bytes.length, 0, 0);
  return bytes;
}

class Stream {
  readonly closed: number[] = [];
  readonly framer = new Framer((fd) => this.closed.push(fd));

  /** One read; answers the messages that it completed as [id, size, fds]. */
  read(bytes: Uint8Array, ...fds: number[]): [number, number, number[]][] {
    const { framer } = this;
    const at = framer.receiveAt();
    framer.buffer.bytes.set(bytes, at);
    framer.received.count = fds.length;
    framer.received.fds.set(fds);
    framer.advance(bytes.length);
    const found: [number, number, number[]][] = [];
    while (framer.next() === Frame.message) {
      const taken: number[] = [];
      for (let i = 0; i < framer.fds.count; i++) taken.push(framer.fds.take(i));
      found.push([framer.buffer.view.getUint16(framer.at, true), framer.sizeBytes, taken]);
    }
    return found;
  }
}

test('messages come out whole, however the stream is cut', () => {
  const whole = new Uint8Array([...message(1, 0), ...message(2, 33), ...message(3, 7)]);
  for (const pieceBytes of [1, 2, 3, 15, 16, 17, 31, 40, 88]) {
    const stream = new Stream();
    const found: [number, number, number[]][] = [];
    for (let at = 0; at < whole.length; at += pieceBytes)
      found.push(...stream.read(whole.subarray(at, at + pieceBytes)));
    expect(found).toEqual([
      [1, 16, []],
      [2, 49, []],
      [3, 23, []],
    ]);
  }
});

test('descriptors belong to the last message begun in a read: none, none, one', () => {
  const stream = new Stream();
  const three = new Uint8Array([...message(1, 32), ...message(2, 32), ...message(3, 32)]);
  expect(stream.read(three, 70)).toEqual([
    [1, 48, []],
    [2, 48, []],
    [3, 48, [70]],
  ]);
});

test('descriptors wait for the rest of a message whose beginning they came with', () => {
  const stream = new Stream();
  const two = new Uint8Array([...message(1, 32), ...message(2, 32)]);
  expect(stream.read(two.subarray(0, 50), 71, 72)).toEqual([[1, 48, []]]);
  expect(stream.read(two.subarray(50, 70))).toEqual([]);
  expect(stream.read(two.subarray(70))).toEqual([[2, 48, [71, 72]]]);
  expect(stream.closed).toEqual([]);
});

test('descriptors of a message in pieces and of the next one are kept apart', () => {
  const stream = new Stream();
  const two = new Uint8Array([...message(1, 32), ...message(2, 32)]);
  expect(stream.read(two.subarray(0, 20), 80)).toEqual([]);
  expect(stream.read(two.subarray(20, 60), 81)).toEqual([[1, 48, [80]]]);
  expect(stream.read(two.subarray(60))).toEqual([[2, 48, [81]]]);
});

test('what nobody takes is closed, and so is what is too much', () => {
  const stream = new Stream();
  const { framer } = stream;
  const one = message(1, 0);
  framer.buffer.bytes.set(one, framer.receiveAt());
  framer.received.count = 2;
  framer.received.fds.set([90, 91]);
  framer.advance(one.length);
  expect(framer.next()).toBe(Frame.message);
  expect(framer.fds.take(1)).toBe(91);
  expect(framer.next()).toBe(Frame.none);
  expect(stream.closed).toEqual([90]);
  const many = message(2, 100);
  for (let i = 0; i < 10; i++) stream.read(many.subarray(i * 4, i * 4 + 4), 100 + 2 * i, 101 + 2 * i);
  expect(stream.closed).toEqual([90, 116, 117, 118, 119]);
});

test('a stream that ends in the middle leaves no descriptor behind', () => {
  const stream = new Stream();
  stream.read(message(1, 100).subarray(0, 30), 60);
  stream.framer.clear();
  expect(stream.closed).toEqual([60]);
});

test.each([0, 15, MAX_MESSAGE_BYTES + 1, 0xffff_ffff])('a message of %i bytes is refused', (sizeBytes) => {
  const stream = new Stream();
  const { framer } = stream;
  const bytes = message(1, 0);
  new DataView(bytes.buffer).setUint32(4, sizeBytes, true);
  framer.buffer.bytes.set(bytes, framer.receiveAt());
  framer.advance(bytes.length);
  expect(framer.next()).toBe(Frame.broken);
});

test('the largest message fits wherever it begins', () => {
  const stream = new Stream();
  const large = message(2, MAX_MESSAGE_BYTES - HEADER_BYTES);
  const bytes = new Uint8Array([...message(1, 3), ...large, ...message(3, 1)]);
  const found: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const room = stream.framer.buffer.lengthBytes - stream.framer.receiveAt();
    const piece = bytes.subarray(at, at + Math.min(room, 300_000));
    for (const [id] of stream.read(piece)) found.push(id);
    at += piece.length;
  }
  expect(found).toEqual([1, 2, 3]);
});

test('a message put back comes again, with its descriptors', () => {
  const stream = new Stream();
  const { framer } = stream;
  framer.buffer.bytes.set(message(5, 0), framer.receiveAt());
  framer.received.count = 1;
  framer.received.fds[0] = 44;
  framer.advance(16);
  expect(framer.next()).toBe(Frame.message);
  framer.putBack();
  expect(framer.next()).toBe(Frame.message);
  expect(framer.fds.take(0)).toBe(44);
});

import { FakeNative, RequestOp } from '@sidecard/native';
import type { VirtualClock } from '@sidecard/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FileBackend, parseDrive, RangeHold, TimedBackend } from '../src/index.ts';
import { DeviceMemory, run, start, type TestRequest, testHost } from './drive-under-test.ts';

const SIZE = 1024 * 1024;
const LIMIT = 25_000;
const EIO = 5;
const EFAULT = 14;
const ETIMEDOUT = 110;

let native: FakeNative;
let host: ReturnType<typeof testHost>;
let clock: VirtualClock;
let memory: DeviceMemory;
let file: FileBackend;
let drive: TimedBackend;
let fd: number;

beforeEach(() => {
  native = new FakeNative();
  native.control.completion = 'held';
  host = testHost(native);
  clock = host.clock;
  memory = new DeviceMemory(native);
  fd = native.memfd('image', SIZE);
  const sizes = { sizeBytes: SIZE, unitBytes: 512, blockBytes: 4096, directBytes: 1, directMemoryBytes: 1 };
  const image = { fd, path: '/image', blockDevice: false, ...sizes };
  file = new FileBackend({ drive: parseDrive('disk.img'), image, identitySeed: new Uint8Array(32) }, host);
  drive = new TimedBackend(file, LIMIT, host);
});

const ring = () => native.control.rings[0]!;
/** The kernel ends everything that it has. */
function answer(): void {
  for (let turn = 0; turn < 50; turn++) {
    ring().release();
    drive.poll();
  }
}
function write(offset: number, at = 0, details = {}): TestRequest {
  const request = start(drive, 'write', offset, memory.segments(at, 512), details);
  drive.commit();
  return request;
}
function read(offset: number, at = 0): TestRequest {
  const request = start(drive, 'read', offset, memory.segments(at, 512));
  drive.commit();
  return request;
}
const outcome = (request: TestRequest) => [request.ended, request.error];
const onDisk = (offset: number) => {
  native.pread(fd, memory.handle, SIZE, 512, offset);
  return memory.memory.bytes[SIZE];
};
const said = () => host.lines.filter(({ level }) => level !== 'info').map(({ level, message }) => [level, message]);

class TestHold extends RangeHold {
  times = 0;
  constructor(offset: number, lengthBytes: number) {
    super();
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }
  held(): void {
    this.times++;
  }
}

describe('a drive that answers', () => {
  test('is as it was: data, errors, flushes', async () => {
    native.control.completion = 'later';
    memory.memory.bytes.fill(7, 0, 512);
    expect(await run(drive, 'write', 4096, memory.segments(0, 512))).toBe(0);
    expect(await run(drive, 'flush')).toBe(0);
    expect(await run(drive, 'read', 4096, memory.segments(8192, 512))).toBe(0);
    expect(memory.memory.bytes[8192]).toBe(7);
    native.control.intercept = () => -EIO;
    expect(await run(drive, 'read', 0, memory.segments(0, 512))).toBe(EIO);
    expect(drive.inFlight).toBe(0);
  });

  test('never has the memory of whoever asks', async () => {
    native.control.intercept = (request) => {
      for (const { bytes } of request.pieces) expect(bytes.buffer).not.toBe(memory.memory.buffer);
      return undefined;
    };
    native.control.completion = 'later';
    expect(await run(drive, 'write', 0, memory.segments(0, 512))).toBe(0);
    expect(await run(drive, 'read', 0, memory.segments(0, 512))).toBe(0);
  });

  test('requests that are longer than our memory go part by part, many side by side', async () => {
    native.control.completion = 'shuffled';
    const large = new DeviceMemory(native, 4 * SIZE);
    const { bytes } = large.memory;
    for (let i = 0; i < SIZE; i++) bytes[i] = i * 7 + (i >> 9);
    expect(await run(drive, 'write', 0, large.segments(0, 100_000, 100_000, SIZE - 100_000))).toBe(0);
    const reads = Array.from({ length: 60 }, () => start(drive, 'read', 0, large.segments(SIZE, SIZE)));
    while (drive.inFlight > 0) {
      drive.poll();
      drive.commit();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(reads.map(outcome)).toEqual(reads.map(() => [1, 0]));
    expect(Buffer.compare(bytes.subarray(0, SIZE), bytes.subarray(SIZE, 2 * SIZE))).toBe(0);
  });

  test('memory that is gone is EFAULT, and reaches no drive', () => {
    const list = memory.segments(0, 512);
    list.handle[0] = 12345;
    const request = start(drive, 'write', 0, list);
    expect(outcome(request)).toEqual([1, EFAULT]);
    expect(ring().inFlight).toBe(0);
    expect(drive.inFlight).toBe(0);
  });

  test('sets no timer while nobody asks, and one while somebody does', () => {
    expect(clock.timers).toBe(0);
    const requests = [write(0), write(512), read(0)];
    expect(clock.timers).toBe(1);
    answer();
    expect(requests.map(outcome)).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    // Going to sleep with nothing under way.
    expect(drive.arm()).toBe(true);
    expect(clock.timers).toBe(0);
    drive.disarm();
  });

  test('what has ended while this process was stopped has not come too late', () => {
    const request = write(0);
    ring().release();
    clock.advance(10 * LIMIT);
    expect(outcome(request)).toEqual([1, 0]);
    expect(said()).toEqual([]);
  });
});

describe('a drive that does not answer', () => {
  test.each(['read', 'write', 'flush', 'writeZeroes', 'discard'] as const)('%s ends with ETIMEDOUT, once', (kind) => {
    const data = kind === 'read' || kind === 'write' ? memory.segments(0, 512) : kind === 'flush' ? 0 : 4096;
    const request = start(drive, kind, 0, data);
    drive.commit();
    clock.advance(LIMIT - 1);
    expect(request.ended).toBe(0);
    clock.advance(1);
    expect(outcome(request)).toEqual([1, ETIMEDOUT]);
    expect(drive.inFlight).toBe(0);
    answer();
    expect(request.ended).toBe(1);
    expect(clock.timers).toBe(0);
  });

  test('each request has as long as the others', () => {
    const requests = [0, 1, 2].map((index) => {
      const request = write(index * 512);
      clock.advance(10_000);
      return request;
    });
    const ended = () => requests.map((request) => request.ended);
    expect(ended()).toEqual([1, 0, 0]);
    clock.advance(4999);
    expect(ended()).toEqual([1, 0, 0]);
    clock.advance(1);
    expect(ended()).toEqual([1, 1, 0]);
    clock.advance(10_000);
    expect(ended()).toEqual([1, 1, 1]);
  });

  test("what comes late is in nobody's memory", () => {
    memory.memory.bytes.fill(1, 0, 512);
    const late = [write(0), read(4096, 1024)];
    clock.advance(LIMIT);
    expect(late.map(outcome)).toEqual([
      [1, ETIMEDOUT],
      [1, ETIMEDOUT],
    ]);
    // It is used for something else by now.
    memory.memory.bytes.fill(9, 0, 4096);
    answer();
    expect(memory.memory.bytes.subarray(0, 4096).every((byte) => byte === 9)).toBe(true);
    expect(onDisk(0)).toBe(1);
  });

  test('gets nothing new until all that it had has ended', () => {
    const first = write(0);
    clock.advance(10_000);
    const second = write(512);
    clock.advance(15_000);
    expect([first.error, second.ended]).toEqual([ETIMEDOUT, 0]);
    const third = write(1024);
    expect(ring().inFlight).toBe(2);
    // One of two: the other may still land.
    ring().release([ring().waiting[0]!.slot]);
    drive.poll();
    expect(ring().inFlight).toBe(1);
    ring().release();
    drive.poll();
    expect(outcome(second)).toEqual([1, 0]);
    expect([third.ended, ring().inFlight]).toEqual([0, 1]);
    answer();
    expect(outcome(third)).toEqual([1, 0]);
  });

  test('an old write never lands on a later one', () => {
    memory.memory.bytes.fill(1, 0, 512);
    write(0);
    clock.advance(LIMIT);
    memory.memory.bytes.fill(2, 0, 512);
    const again = write(0);
    // The kernel has its own order: the latest first.
    for (let turn = 0; turn < 3; turn++) {
      ring().release(
        ring()
          .waiting.map(({ slot }) => slot)
          .reverse(),
      );
      drive.poll();
    }
    expect(outcome(again)).toEqual([1, 0]);
    expect(onDisk(0)).toBe(2);
  });

  test('new requests wait, and are too late in their turn', () => {
    write(0);
    clock.advance(LIMIT);
    const waiting = [write(512), read(512), start(drive, 'flush')];
    clock.advance(LIMIT);
    expect(waiting.map(outcome)).toEqual(waiting.map(() => [1, ETIMEDOUT]));
    answer();
    expect(onDisk(512)).toBe(0);
    memory.memory.bytes.fill(3, 0, 512);
    const next = write(512);
    answer();
    expect(outcome(next)).toEqual([1, 0]);
    expect(onDisk(512)).toBe(3);
  });

  test('says when it stalls and when it answers again, once each', () => {
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 5; index++) write(index * 512);
      clock.advance(LIMIT);
      for (let index = 0; index < 5; index++) write(index * 512);
      clock.advance(LIMIT);
      answer();
    }
    const stalled =
      'has not answered for 25 s: requests fail, and it gets nothing new before all that it has has ended';
    expect(said()).toEqual([
      ['error', stalled],
      ['warn', 'answers again'],
      ['error', stalled],
      ['warn', 'answers again'],
    ]);
  });

  test('what ends with it may ask again at once', () => {
    const again: TestRequest[] = [];
    for (let index = 0; index < 20; index++) {
      write(index * 512).onDone = () => void again.push(write(index * 512));
    }
    clock.advance(LIMIT);
    expect(again.length).toBe(20);
    answer();
    expect(again.map(outcome)).toEqual(again.map(() => [1, 0]));
    expect(drive.inFlight).toBe(0);
  });

  test('a request that is in the midst of its parts ends too, and no further part is written', () => {
    const large = new DeviceMemory(native, 3 * SIZE);
    const big = native.memfd('big image', 4 * SIZE);
    const sizes = { sizeBytes: 4 * SIZE, unitBytes: 512, blockBytes: 4096, directBytes: 1, directMemoryBytes: 1 };
    const image = { fd: big, path: '/big', blockDevice: false, ...sizes };
    file = new FileBackend({ drive: parseDrive('big.img'), image, identitySeed: new Uint8Array(32) }, host);
    drive = new TimedBackend(file, LIMIT, host);
    large.memory.bytes.fill(5);
    const request = start(drive, 'write', 0, large.segments(0, 3 * SIZE));
    drive.commit();
    const rings = native.control.rings;
    rings[1]!.release();
    drive.poll();
    clock.advance(LIMIT);
    expect(outcome(request)).toEqual([1, ETIMEDOUT]);
    rings[1]!.release();
    drive.poll();
    expect(rings[1]!.inFlight).toBe(0);
    native.pread(big, large.handle, 0, 1, 2 * SIZE - 1);
    native.pread(big, large.handle, 1, 1, 2 * SIZE);
    expect([...large.memory.bytes.subarray(0, 2)]).toEqual([5, 0]);
  });

  test('a flush that fails after it was given up fails the flushes that follow, until somebody clears it', async () => {
    const flush = start(drive, 'flush');
    drive.commit();
    clock.advance(LIMIT);
    expect(outcome(flush)).toEqual([1, ETIMEDOUT]);
    native.control.intercept = (request) => (request.op === RequestOp.flush ? -EIO : undefined);
    answer();
    native.control.intercept = null;
    native.control.completion = 'later';
    expect(await run(drive, 'flush')).toBe(EIO);
    expect(await run(drive, 'write', 0, memory.segments(0, 512), { fua: true })).toBe(EIO);
    expect(drive.failure).toContain('a flush failed (EIO');
    drive.clearFailure();
    expect(drive.failure).toBe(null);
    expect(await run(drive, 'flush')).toBe(0);
  });
});

describe('ranges that are held', () => {
  test('waiting for one is no stall of the drive', () => {
    const taken = new TestHold(0, 4096);
    expect(drive.hold(taken)).toBe(true);
    const waiting = write(512);
    clock.advance(LIMIT);
    expect(outcome(waiting)).toEqual([1, ETIMEDOUT]);
    expect(said()).toEqual([]);
    const under = write(0, 0, { under: taken });
    answer();
    expect(outcome(under)).toEqual([1, 0]);
    drive.letGo(taken);
    const after = write(512);
    answer();
    expect(outcome(after)).toEqual([1, 0]);
  });

  test('one that cannot be had in time ends with ETIMEDOUT, and so do requests under it', () => {
    write(0);
    const taken = new TestHold(0, 4096);
    expect(drive.hold(taken)).toBe(false);
    clock.advance(LIMIT);
    expect([taken.times, taken.error]).toEqual([1, ETIMEDOUT]);
    expect(outcome(write(0, 0, { under: taken }))).toEqual([1, ETIMEDOUT]);
    // It keeps nobody out.
    const other = write(512);
    answer();
    expect(outcome(other)).toEqual([1, 0]);
    drive.letGo(taken);
    expect(taken.slot).toBe(-1);
    expect(drive.hold(taken)).toBe(true);
    expect(taken.error).toBe(0);
    drive.letGo(taken);
    expect(taken.times).toBe(1);
    expect(drive.arm()).toBe(true);
    expect(clock.timers).toBe(0);
  });

  test('a write that was given up keeps its range until it has ended', () => {
    write(0);
    clock.advance(LIMIT);
    const taken = new TestHold(0, 4096);
    expect(drive.hold(taken)).toBe(false);
    answer();
    expect(taken.times).toBe(1);
    drive.letGo(taken);
  });

  test('letting go while waiting takes the deadline along', () => {
    write(0);
    const taken = new TestHold(0, 4096);
    drive.hold(taken);
    drive.letGo(taken);
    answer();
    clock.advance(2 * LIMIT);
    expect(taken.times).toBe(0);
    expect(said()).toEqual([]);
  });
});

describe('closing', () => {
  test('waits for what is under way, flushes, and leaves nothing open', async () => {
    native.control.completion = 'later';
    const request = write(0);
    await drive.close();
    expect(outcome(request)).toEqual([1, 0]);
    memory.close();
    expect([native.openFds, native.mappings, clock.timers]).toEqual([0, 0, 0]);
  });

  test('does not wait for ever for a drive that does not answer, and says what that means', async () => {
    const request = write(0);
    const closed = drive.close();
    const outcomes = expect(closed).rejects.toThrow(
      'drive disk.img: has not answered for 25 s, what was not durable may be lost',
    );
    clock.advance(LIMIT);
    expect(outcome(request)).toEqual([1, ETIMEDOUT]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(LIMIT);
    await outcomes;
    ring().release();
  });

  test('a drive whose last flush fails says so', async () => {
    native.control.completion = 'later';
    native.control.intercept = (request) => (request.op === RequestOp.flush ? -EIO : undefined);
    write(0);
    await expect(drive.close()).rejects.toThrow('a flush failed (EIO');
    memory.close();
    expect([native.openFds, native.mappings]).toEqual([0, 0]);
  });
});

test('whatever stalls when: one end each, no memory touched after it, and the last write that was acknowledged is what is on disk', () => {
  const BLOCKS = 2;
  const AREA = 128 * 1024;
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constantFrom('write', 'read', 'flush', 'hold'), block: fc.nat(BLOCKS - 1) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('time'), block: fc.constantFrom(1, 12_000, LIMIT) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer'), block: fc.nat(1000) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      native = new FakeNative();
      native.control.completion = 'held';
      host = testHost(native);
      memory = new DeviceMemory(native);
      fd = native.memfd('image', SIZE);
      const sizes = { sizeBytes: SIZE, unitBytes: 512, blockBytes: 4096, directBytes: 1, directMemoryBytes: 1 };
      const image = { fd, path: '/image', blockDevice: false, ...sizes };
      file = new FileBackend({ drive: parseDrive('disk.img'), image, identitySeed: new Uint8Array(32) }, host);
      drive = new TimedBackend(file, LIMIT, host);
      const { bytes } = memory.memory;
      /** By block: what must be there, if it is known; whether a write is under way. */
      const expected: (number | null)[] = new Array(BLOCKS).fill(0);
      const busy: boolean[] = new Array(BLOCKS).fill(false);
      const requests: TestRequest[] = [];
      const holds: TestHold[] = [];
      let stamp = 0;
      let at = 0;
      const area = () => {
        at = (at + 512) % AREA;
        return at;
      };
      const begin = (kind: 'write' | 'read', block: number, under: RangeHold | null = null) => {
        const place = area();
        stamp = (stamp % 200) + 1;
        const mark = stamp;
        if (kind === 'write') {
          if (busy[block]) return;
          busy[block] = true;
          expected[block] = null;
          bytes.fill(mark, place, place + 512);
        }
        const details = under === null ? {} : { under };
        const request = start(drive, kind, block * 512, memory.segments(place, 512), details);
        const ended = () => {
          // The owner uses the memory for something else at once.
          if (kind === 'write') {
            busy[block] = false;
            if (request.error === 0) expected[block] = mark;
          }
          bytes.fill(0xee, place, place + 512);
        };
        if (request.ended > 0) ended();
        else request.onDone = ended;
        requests.push(request);
      };
      const check = () => {
        for (let block = 0; block < BLOCKS; block++) {
          const found = onDisk(block * 512);
          expect(found).not.toBe(0xee);
          if (expected[block] !== null) expect(found).toBe(expected[block]);
        }
      };
      for (const { kind, block } of steps) {
        if (kind === 'write' || kind === 'read') begin(kind, block);
        else if (kind === 'flush') requests.push(start(drive, 'flush'));
        else if (kind === 'hold') {
          if (holds.length > 0) {
            const taken = holds.shift()!;
            if (taken.times > 0) begin('write', taken.offset / 512, taken);
            // A holder lets go when its requests have ended.
            for (let turn = 0; turn < 5; turn++) answer();
            drive.letGo(taken);
          } else {
            const taken = new TestHold(block * 512, 512);
            if (drive.hold(taken)) taken.times = 1;
            holds.push(taken);
          }
        } else if (kind === 'time') host.clock.advance(block);
        else if (ring().waiting.length > 0) {
          ring().release([ring().waiting[block % ring().waiting.length]!.slot]);
          drive.poll();
        }
        drive.commit();
        if (drive.inFlight === 0 && ring().inFlight === 0) check();
      }
      for (const taken of holds) drive.letGo(taken);
      for (let turn = 0; turn < 20; turn++) answer();
      expect(requests.every((request) => request.ended === 1)).toBe(true);
      expect(drive.inFlight).toBe(0);
      expect(ring().inFlight).toBe(0);
      const memoryAfter = bytes.slice(0, AREA);
      expect(memoryAfter.every((byte) => byte === 0 || byte === 0xee)).toBe(true);
      check();
    }),
    { numRuns: 80 },
  );
});

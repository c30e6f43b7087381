import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeNative, loadNative } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BlockBackend, FileBackend, openDrive, parseDrive, RangeHold, TimedBackend } from '../src/index.ts';
import { DeviceMemory, ended, run, start, testHost } from './drive-under-test.ts';

const SIZE = 1024 * 1024;

class TestHold extends RangeHold {
  times = 0;
  onHeld: (() => void) | null = null;

  constructor(offset: number, lengthBytes: number) {
    super();
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }

  held(): void {
    this.times++;
    this.onHeld?.();
  }
}

/** Takes the range, and says whether it was had at once. */
function hold(drive: BlockBackend, offset: number, lengthBytes: number): TestHold & { atOnce: boolean } {
  const taken = new TestHold(offset, lengthBytes);
  return Object.assign(taken, { atOnce: drive.hold(taken) });
}

describe.each([
  ['buffered', 1, false],
  ['O_DIRECT', 4096, false],
  ['buffered, on-stall=error', 1, true],
  ['O_DIRECT, on-stall=error', 4096, true],
])('a range that is held, %s', (_name, direct, timed) => {
  let native: FakeNative;
  let memory: DeviceMemory;
  let drive: BlockBackend;
  let fd: number;

  beforeEach(() => {
    native = new FakeNative();
    native.control.completion = 'held';
    memory = new DeviceMemory(native);
    fd = native.memfd('image', SIZE);
    const sizes = { sizeBytes: SIZE, blockBytes: 4096, directBytes: direct, directMemoryBytes: direct };
    const image = { fd, path: '/image', blockDevice: false, unitBytes: 512, ...sizes };
    const text = direct === 1 ? 'disk.img' : 'disk.img,cache=none';
    const host = testHost(native);
    drive = new FileBackend({ drive: parseDrive(text), image, identitySeed: new Uint8Array(32) }, host);
    if (timed) drive = new TimedBackend(drive, 1000, host);
  });

  const settle = () => {
    drive.commit();
    for (let turn = 0; turn < 2000; turn++) {
      native.control.rings[0]!.release();
      drive.poll();
    }
  };
  const file = (offset: number) => {
    native.pread(fd, memory.handle, 0, 4096, offset - (offset % 4096));
    return memory.memory.bytes[offset % 4096];
  };

  test('waits for the writes in it that are under way', () => {
    const write = start(drive, 'write', 4096, memory.segments(0, 4096));
    const taken = hold(drive, 0, 8192);
    expect([taken.atOnce, taken.times]).toEqual([false, 0]);
    settle();
    expect([write.ended, taken.times]).toEqual([1, 1]);
    drive.letGo(taken);
  });

  test('is had at once where nobody writes, and keeps writes out until it is let go', () => {
    const taken = hold(drive, 4096, 4096);
    expect(taken.atOnce).toBe(true);
    const inside = [
      start(drive, 'write', 4096, memory.segments(0, 512)),
      start(drive, 'writeZeroes', 0, 8192),
      start(drive, 'discard', 4096, 4096),
    ];
    const beside = [
      start(drive, 'write', 8192, memory.segments(0, 4096)),
      start(drive, 'read', 0, memory.segments(0, 4096)),
    ];
    settle();
    expect(inside.map((request) => request.ended)).toEqual([0, 0, 0]);
    expect(beside.map((request) => request.ended)).toEqual([1, 1]);
    drive.letGo(taken);
    settle();
    expect(inside.map((request) => [request.ended, request.error])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect(taken.times).toBe(0);
  });

  test('what waited starts when it is let go, without anybody calling commit', () => {
    const taken = hold(drive, 0, 4096);
    start(drive, 'write', 0, memory.segments(0, 4096));
    drive.commit();
    drive.letGo(taken);
    expect(native.control.rings[0]!.waiting.length).toBe(1);
    settle();
  });

  test('requests under it have it already, those of less than a block too', () => {
    const taken = hold(drive, 100, 1000);
    memory.memory.bytes.fill(7, 0, 10);
    const outside = start(drive, 'write', 1200, memory.segments(0, 10));
    const under = [0, 1, 2].map((index) =>
      start(drive, 'write', 100 + index * 10, memory.segments(0, 10), { under: taken }),
    );
    settle();
    expect(under.map((request) => [request.ended, request.error])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    // A block that is read, modified and written back is held as a whole.
    expect(outside.ended).toBe(direct === 1 ? 1 : 0);
    drive.letGo(taken);
    settle();
    expect(outside.ended).toBe(1);
    expect([99, 100, 129, 130, 1199, 1200, 1209].map(file)).toEqual([0, 7, 7, 0, 0, 7, 7]);
  });

  test('holds of one range have it one after the other, in their order', () => {
    const order: number[] = [];
    const holds = Array.from({ length: 600 }, (_, index) => {
      const taken = hold(drive, (index % 3) * 512, 8192);
      taken.onHeld = () => void order.push(index);
      return taken;
    });
    expect(holds.map(({ atOnce }) => atOnce)).toEqual(holds.map((_, index) => index === 0));
    for (const taken of holds) drive.letGo(taken);
    expect(order).toEqual(holds.slice(1).map((_, index) => index + 1));
  });

  test('one that is let go as soon as it is had makes no tower of calls', () => {
    const first = hold(drive, 0, 512);
    let ended = 0;
    for (let index = 0; index < 5000; index++) {
      const taken = hold(drive, 0, 512);
      taken.onHeld = () => {
        ended++;
        drive.letGo(taken);
      };
    }
    drive.letGo(first);
    expect(ended).toBe(5000);
  });

  test('giving up while waiting lets those behind have what they can have', () => {
    const first = hold(drive, 0, 4096);
    const second = hold(drive, 0, 16_384);
    const write = start(drive, 'write', 8192, memory.segments(0, 4096));
    settle();
    expect(write.ended).toBe(0);
    drive.letGo(second);
    settle();
    expect([second.times, write.ended]).toEqual([0, 1]);
    drive.letGo(first);
    const again = hold(drive, 0, SIZE);
    expect(again.atOnce).toBe(true);
    drive.letGo(again);
  });

  test('requests under it go on however many wait for it', () => {
    const taken = hold(drive, 0, SIZE);
    const waiting = Array.from({ length: 700 }, (_, index) =>
      start(drive, 'write', index * 512, memory.segments(0, 512)),
    );
    const under = Array.from({ length: 100 }, (_, index) =>
      start(drive, 'write', index * 512, memory.segments(0, 512), { under: taken }),
    );
    const reads = Array.from({ length: 100 }, () => start(drive, 'read', 0, memory.segments(0, 512), { under: taken }));
    settle();
    expect([...under, ...reads].every((request) => request.ended === 1 && request.error === 0)).toBe(true);
    expect(waiting.some((request) => request.ended > 0)).toBe(false);
    drive.letGo(taken);
    settle();
    expect(waiting.every((request) => request.ended === 1 && request.error === 0)).toBe(true);
    expect(drive.inFlight).toBe(0);
  });

  test('requests that the holder submits from held() are started', () => {
    const write = start(drive, 'write', 0, memory.segments(0, 4096));
    const taken = hold(drive, 0, 4096);
    const under: ReturnType<typeof start>[] = [];
    taken.onHeld = () => {
      for (let index = 0; index < 300; index++)
        under.push(start(drive, 'read', 0, memory.segments(0, 4096), { under: taken }));
    };
    settle();
    expect(write.ended).toBe(1);
    expect(under.length).toBe(300);
    expect(under.every((request) => request.ended === 1)).toBe(true);
    drive.letGo(taken);
  });

  test('what leaves the range, or has none, is a mistake of ours', () => {
    const first = hold(drive, 0, 4096);
    const second = hold(drive, 0, 4096);
    const under = (taken: RangeHold, offset: number) => () =>
      start(drive, 'write', offset, memory.segments(0, 4096), { under: taken });
    expect(under(first, 512)).toThrow('a request leaves the range');
    expect(under(second, 0)).toThrow('not held');
    // Whoever copies reads elsewhere.
    const read = start(drive, 'read', 8192, memory.segments(0, 4096), { under: first });
    settle();
    expect([read.ended, read.error]).toEqual([1, 0]);
    expect(() => drive.hold(first)).toThrow('held again');
    drive.letGo(first);
    drive.letGo(second);
    expect(() => drive.letGo(second)).toThrow('not held');
    expect(under(second, 0)).toThrow('not held');
  });
});

describe.each([
  ['file', 'disk.img,size=1M'],
  ['file, direct', 'disk.img,size=1M,cache=none'],
  ['file, on-stall=error', 'disk.img,size=1M,on-stall=error'],
  ['file, direct, on-stall=error', 'disk.img,size=1M,cache=none,on-stall=error'],
  ['memory', 'mem:1M'],
])('%s', (_name, text) => {
  const native = loadNative();
  let folder: string;
  let memory: DeviceMemory;
  let drive: BlockBackend;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sidecard-holds-'));
    memory = new DeviceMemory(native);
    drive = openDrive(parseDrive(text.replace('disk.img', `${folder}/disk.img`)), testHost(native));
  });
  afterEach(async () => {
    await drive.close();
    memory.close();
    rmSync(folder, { recursive: true });
  });

  test('counters that many count up at once, each read and written under a hold, lose nothing', async () => {
    const counters = 4;
    const rounds = 50;
    let left = counters * rounds;
    const count = (slot: number, lengthBytes: number) => {
      const offset = (slot % counters) * 512;
      const at = slot * 512;
      const taken = new TestHold(offset, lengthBytes);
      const { bytes } = memory.memory;
      const step = async () => {
        await run(drive, 'read', offset, memory.segments(at, 512), { under: taken });
        bytes[at] = bytes[at]! + 1;
        await run(drive, 'write', offset, memory.segments(at, 512), { under: taken });
        drive.letGo(taken);
        left--;
      };
      taken.onHeld = () => void step();
      if (drive.hold(taken)) void step();
    };
    for (let slot = 0; slot < counters * rounds; slot++) count(slot, 512);
    while (left > 0) {
      if (!drive.poll()) await new Promise((resolve) => setImmediate(resolve));
    }
    await ended(drive, start(drive, 'read', 0, memory.segments(0, counters * 512)));
    expect(Array.from({ length: counters }, (_, index) => memory.memory.bytes[index * 512])).toEqual(
      new Array(counters).fill(rounds),
    );
  });
});

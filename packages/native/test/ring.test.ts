import { execFileSync } from 'node:child_process';
import { constants as fileConstants, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FakeNative, Fallocate, loadNative, type Native, RequestOp, type Ring, WriteFlags } from '../src/index.ts';

const { EBADF, EBUSY, EFAULT, EINVAL, ENOTTY, EOPNOTSUPP } = constants.errno;
const folder = mkdtempSync(join(tmpdir(), 'sidecard-ring-'));
afterAll(() => rmSync(folder, { recursive: true }));

const kinds: { kind: Ring['kind']; create: () => Native; forceThreads: boolean }[] = [
  { kind: 'io_uring', create: loadNative, forceThreads: false },
  { kind: 'threads', create: loadNative, forceThreads: true },
  { kind: 'fake', create: () => new FakeNative(), forceThreads: false },
];

/** Submits these slots and waits for all of them: result by slot. */
export function complete(ring: Ring, ...slots: number[]): Map<number, number> {
  ring.queue.set(slots);
  expect(ring.submit(slots.length)).toBe(0);
  return collect(ring, slots.length);
}

function collect(ring: Ring, wanted: number): Map<number, number> {
  const results = new Map<number, number>();
  for (const deadline = Date.now() + 5000; results.size < wanted && Date.now() < deadline; ) {
    const count = ring.poll();
    for (let i = 0; i < count; i++) results.set(ring.completions[2 * i]!, ring.completions[2 * i + 1]!);
  }
  return results;
}

describe.each(kinds)('a ring: $kind', ({ kind, create, forceThreads }) => {
  const native = create();
  const memory = new ArrayBuffer(65536);
  const view = new Uint8Array(memory);
  const handle = native.pin(memory);
  let files = 0;

  function withRing(test: (ring: Ring, fd: number) => void, entries = 8): void {
    const path = join(folder, `${kind}-${files++}`);
    const fd = native.open(path, fileConstants.O_RDWR | fileConstants.O_CREAT, 0o600);
    const ring = native.openRing(entries, { forceThreads, maxSegments: 4 });
    expect(ring.kind).toBe(kind);
    test(ring, fd);
    ring.close();
    native.close(fd);
  }

  function request(ring: Ring, slot: number, op: number, fd: number, position = 0): void {
    ring.op[slot] = op;
    ring.fd[slot] = fd;
    ring.position[slot] = position;
    ring.length[slot] = 0;
    ring.flags[slot] = 0;
    ring.segments[slot] = 0;
  }

  function transfer(
    ring: Ring,
    slot: number,
    op: number,
    fd: number,
    position: number,
    ...pieces: [number, number][]
  ): void {
    request(ring, slot, op, fd, position);
    ring.segments[slot] = pieces.length;
    pieces.forEach(([offset, length], index) => {
      ring.setSegment(slot, index, handle, offset, length);
    });
  }

  it('writes, flushes and reads, in one piece or several', () => {
    withRing((ring, fd) => {
      for (let i = 0; i < 4096; i++) view[i] = i % 251;
      transfer(ring, 0, RequestOp.write, fd, 0, [0, 4096]);
      expect(complete(ring, 0).get(0)).toBe(4096);
      request(ring, 3, RequestOp.flush, fd);
      expect(complete(ring, 3).get(3)).toBe(0);
      transfer(ring, 1, RequestOp.read, fd, 100, [8192, 1], [10_000, 2000], [20_001, 999]);
      expect(complete(ring, 1).get(1)).toBe(3000);
      expect([view[8192], view[10_000], view[11_999], view[20_001]]).toEqual([
        100,
        101,
        (100 + 2000) % 251,
        (100 + 2001) % 251,
      ]);
      transfer(ring, 2, RequestOp.write, fd, 4096, [0, 10], [50, 5]);
      ring.flags[2] = WriteFlags.dsync;
      expect(complete(ring, 2).get(2)).toBe(15);
      expect(native.fileSize(fd)).toBe(4111);
      expect(ring.inFlight).toBe(0);
    });
  });

  it('reads short at the end of the file', () => {
    withRing((ring, fd) => {
      native.truncate(fd, 5000);
      transfer(ring, 0, RequestOp.read, fd, 4096, [0, 4096]);
      transfer(ring, 1, RequestOp.read, fd, 4000, [4096, 900], [8192, 4096]);
      transfer(ring, 2, RequestOp.read, fd, 5000, [0, 512]);
      expect(complete(ring, 0, 1, 2)).toEqual(
        new Map([
          [0, 904],
          [1, 1000],
          [2, 0],
        ]),
      );
    });
  });

  it('allocates, zeroes and punches', () => {
    withRing((ring, fd) => {
      request(ring, 0, RequestOp.fallocate, fd, 0);
      ring.length[0] = 16384;
      expect(complete(ring, 0).get(0)).toBe(0);
      expect(native.fileSize(fd)).toBe(16384);
      view.fill(1);
      transfer(ring, 1, RequestOp.write, fd, 0, [0, 16384]);
      complete(ring, 1);
      request(ring, 2, RequestOp.fallocate, fd, 4096);
      ring.length[2] = 4096;
      ring.flags[2] = Fallocate.punchHole | Fallocate.keepSize;
      expect(complete(ring, 2).get(2)).toBe(0);
      transfer(ring, 3, RequestOp.read, fd, 0, [0, 16384]);
      complete(ring, 3);
      expect([view[4095], view[4096], view[8191], view[8192]]).toEqual([1, 0, 0, 1]);
    });
  });

  it('completes with EFAULT what is out of bounds, and with EINVAL what makes no sense', () => {
    withRing((ring, fd) => {
      const stale = native.pin(new ArrayBuffer(64));
      native.unpin(stale);
      transfer(ring, 0, RequestOp.read, fd, 0, [0, 512], [65_536, 1]);
      transfer(ring, 1, RequestOp.read, fd, 0, [65_000, 1000]);
      transfer(ring, 2, RequestOp.write, fd, 0, [0, 512]);
      ring.setSegment(2, 0, stale, 0, 8);
      transfer(ring, 3, RequestOp.write, fd, 0, [0, 512]);
      ring.setSegment(3, 0, handle, -1, 512);
      transfer(ring, 4, RequestOp.read, fd, 0, [0, 512]);
      ring.segments[4] = 5;
      request(ring, 5, 99, fd);
      transfer(ring, 6, RequestOp.read, fd, -1, [0, 1]);
      transfer(ring, 7, RequestOp.read, 99_999, 0, [0, 1]);
      const results = complete(ring, 0, 1, 2, 3, 4, 5, 6, 7);
      expect([...results].sort((a, b) => a[0] - b[0]).map(([, result]) => result)).toEqual([
        -EFAULT,
        -EFAULT,
        -EFAULT,
        -EFAULT,
        -EINVAL,
        -EINVAL,
        -EINVAL,
        -EBADF,
      ]);
      expect(native.fileSize(fd)).toBe(0);
    });
  });

  it('answers for block device requests as well', () => {
    withRing((ring, fd) => {
      for (const [slot, op] of [
        [0, RequestOp.discard],
        [1, RequestOp.zeroOut],
      ] as const) {
        request(ring, slot, op, fd);
        ring.length[slot] = 512;
      }
      const wrong = kind === 'fake' ? -EOPNOTSUPP : -ENOTTY;
      expect(complete(ring, 0, 1)).toEqual(
        new Map([
          [0, wrong],
          [1, wrong],
        ]),
      );
    });
  });

  it('refuses a queue with a slot that is in flight, and submits nothing of it', () => {
    withRing((ring, fd) => {
      request(ring, 0, RequestOp.flush, fd);
      request(ring, 1, RequestOp.flush, fd);
      ring.queue.set([0, 1, 0]);
      expect(ring.submit(3)).toBe(-EBUSY);
      ring.queue.set([0, 8]);
      expect(ring.submit(2)).toBe(-EINVAL);
      expect(ring.submit(9)).toBe(-EINVAL);
      expect(ring.submit(0)).toBe(0);
      expect(ring.inFlight).toBe(0);
      expect(complete(ring, 0, 1).size).toBe(2);
      expect(complete(ring, 1, 0).size, 'and again').toBe(2);
    });
  });

  it('tells its eventfd only while armed', () => {
    withRing((ring, fd) => {
      request(ring, 0, RequestOp.flush, fd);
      complete(ring, 0);
      expect(native.drain(ring.eventFd), 'armed at first').toBe(1);
      ring.disarm();
      complete(ring, 0);
      expect(native.drain(ring.eventFd)).toBe(0);
      expect(ring.arm()).toBe(true);
      ring.queue[0] = 0;
      ring.submit(1);
      const deadline = Date.now() + 2000;
      while (native.drain(ring.eventFd) === 0 && Date.now() < deadline);
      expect(ring.arm(), 'something has come').toBe(false);
      expect(collect(ring, 1).size).toBe(1);
    });
  });

  it('keeps many requests of one batch apart', () => {
    withRing((ring, fd) => {
      native.truncate(fd, 64 * 512);
      for (let round = 0; round < 20; round++) {
        for (let slot = 0; slot < 64; slot++) {
          view[slot * 512] = slot + round;
          transfer(ring, slot, RequestOp.write, fd, slot * 512, [slot * 512, 512]);
        }
        expect(complete(ring, ...Array(64).keys()).size).toBe(64);
        view.fill(0);
        for (let slot = 0; slot < 64; slot++) transfer(ring, slot, RequestOp.read, fd, slot * 512, [slot * 512, 512]);
        expect([...complete(ring, ...Array(64).keys()).values()].every((result) => result === 512)).toBe(true);
        for (let slot = 0; slot < 64; slot++) expect(view[slot * 512]).toBe(slot + round);
      }
    }, 64);
  });

  it('refuses to open with no or too many slots', () => {
    if (kind === 'fake') return;
    for (const [entries, maxSegments] of [
      [0, 4],
      [-1, 4],
      [32_769, 4],
      [8, 0],
      [8, 1025],
    ] as const) {
      expect(() => native.openRing(entries, { maxSegments, forceThreads })).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      );
    }
  });
});

describe.each(kinds.filter(({ kind }) => kind !== 'fake'))(
  'a ring with a request that waits: $kind',
  ({ kind, forceThreads }) => {
    const native = loadNative();

    it('holds the mapping, and close waits', () => {
      const path = join(folder, `${kind}-pipe`);
      execFileSync('mkfifo', [path]);
      const pipe = native.open(path, fileConstants.O_RDWR, 0);
      const memfd = native.memfd('held', 4096);
      const buffer = native.map(memfd, 0, 4096, true) as ArrayBuffer;
      const ring = native.openRing(4, { forceThreads });
      for (const slot of [0, 1]) {
        ring.op[slot] = RequestOp.read;
        ring.fd[slot] = pipe;
        ring.segments[slot] = 1;
        ring.setSegment(slot, 0, native.mapping(buffer), 8 * slot, 8);
      }
      ring.queue.set([0, 1]);
      // A pipe has no positions: only io_uring reads it so, preadv2 says ESPIPE.
      expect(ring.submit(2)).toBe(0);
      if (kind === 'threads') {
        expect([...collect(ring, 2).values()]).toEqual([-constants.errno.ESPIPE, -constants.errno.ESPIPE]);
      } else {
        expect(ring.poll()).toBe(0);
        expect(native.unmap(buffer)).toBe(-EBUSY);
        expect(buffer.byteLength).toBe(4096);
        native.signal(pipe);
        expect([...collect(ring, 1).values()]).toEqual([8]);
        expect(native.unmap(buffer), 'one is still in flight').toBe(-EBUSY);
        native.signal(pipe);
      }
      ring.close();
      expect(native.unmap(buffer)).toBe(0);
      for (const fd of [pipe, memfd]) native.close(fd);
    });
  },
);

describe('a fake ring', () => {
  function opened(completion: FakeNative['control']['completion']) {
    const native = new FakeNative();
    native.control.completion = completion;
    const fd = native.memfd('disk', 8192);
    const memory = new ArrayBuffer(8192);
    const handle = native.pin(memory);
    const ring = native.openRing(16);
    for (let slot = 0; slot < 16; slot++) {
      ring.op[slot] = RequestOp.write;
      ring.fd[slot] = fd;
      ring.position[slot] = 512 * slot;
      ring.segments[slot] = 1;
      ring.setSegment(slot, 0, handle, 512 * slot, 512);
      ring.queue[slot] = slot;
    }
    return { native, fd, memory, handle, ring };
  }

  it('holds requests until they are released, in the order asked for', () => {
    const { native, memory, handle, ring } = opened('held');
    ring.submit(3);
    expect(ring.poll()).toBe(0);
    expect(native.unpin(handle)).toBe(-EBUSY);
    new Uint8Array(memory)[0] = 9;
    ring.release([2, 0]);
    expect(ring.poll()).toBe(2);
    expect([...ring.completions.subarray(0, 4)]).toEqual([2, 512, 0, 512]);
    ring.release();
    expect(ring.poll()).toBe(1);
    expect(native.unpin(handle)).toBe(0);
  });

  it('shuffles, and wakes whoever sleeps', async () => {
    const { native, ring } = opened('shuffled');
    const order: number[] = [];
    await new Promise<void>((done) => {
      const watch = native.watch(ring.eventFd, 'read', () => {
        native.drain(ring.eventFd);
        for (let i = 0, count = ring.poll(); i < count; i++) order.push(ring.completions[2 * i]!);
        if (order.length < 16) return;
        watch.close();
        done();
      });
      ring.submit(16);
    });
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(16).keys()]);
  });

  it('fails and cuts requests as it is told', () => {
    const { native, ring } = opened('now');
    native.control.intercept = ({ slot }) => [-constants.errno.EIO, 100, undefined][slot];
    expect([...complete(ring, 0, 1, 2)]).toEqual([
      [0, -constants.errno.EIO],
      [1, 100],
      [2, 512],
    ]);
  });
});

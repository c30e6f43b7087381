import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeNative, loadNative, RequestOp } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DriveOptions, FileBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, ended, run, start, testHost } from './drive-under-test.ts';

const SIZE = 64 * 1024;
const EIO = 5;
const ENOSPC = 28;
const EOPNOTSUPP = 95;

let native: FakeNative;
let host: ReturnType<typeof testHost>;
let memory: DeviceMemory;
let fd: number;

beforeEach(() => {
  native = new FakeNative();
  host = testHost(native);
  memory = new DeviceMemory(native, 1024 * 1024);
});

/** A drive on a file of the fake world. */
function fakeDrive(text = 'disk.img', direct = 1): FileBackend {
  fd = native.memfd('image', SIZE);
  const drive: DriveOptions = parseDrive(text);
  const image = {
    fd,
    path: '/image',
    blockDevice: false,
    sizeBytes: SIZE,
    unitBytes: 512,
    blockBytes: 4096,
    directBytes: direct,
    directMemoryBytes: direct,
  };
  return new FileBackend({ drive, image, identitySeed: new Uint8Array(32) }, host);
}

/** The contents of the file, by way of the drive's descriptor. */
function file(): Uint8Array {
  native.pread(fd, memory.handle, 512 * 1024, SIZE, 0);
  return memory.memory.bytes.slice(512 * 1024, 512 * 1024 + SIZE);
}

const op = (request: { op: number }) => request.op;

describe('transfers', () => {
  test('are taken up again where they were cut, in every piece', async () => {
    const drive = fakeDrive();
    memory.memory.bytes.forEach((_, i, all) => {
      all[i] = i & 0xff;
    });
    const list = memory.segments(0, 1000, 5000, 3000, 20_000, 10);
    native.control.intercept = () => 700;
    expect(await run(drive, 'write', 100, list)).toBe(0);
    native.control.intercept = null;
    const expected = [0, 5000, 20_000].flatMap((at, i) => [
      ...memory.memory.bytes.subarray(at, at + [1000, 3000, 10][i]!),
    ]);
    expect([...file().subarray(100, 4110)]).toEqual(expected);
    memory.memory.bytes.fill(0, 0, 30_000);
    native.control.intercept = () => 333;
    expect(await run(drive, 'read', 100, list)).toBe(0);
    const found = [0, 5000, 20_000].flatMap((at, i) => [
      ...memory.memory.bytes.subarray(at, at + [1000, 3000, 10][i]!),
    ]);
    expect(found).toEqual(expected);
  });

  test('EAGAIN and EINTR are asked again', async () => {
    const drive = fakeDrive();
    let tries = 0;
    native.control.intercept = () => (tries++ < 4 ? (tries % 2 ? -11 : -4) : undefined);
    for (const kind of ['read', 'write'] as const) expect(await run(drive, kind, 0, memory.segments(0, 512))).toBe(0);
    tries = 0;
    expect(await run(drive, 'flush')).toBe(0);
    tries = 0;
    expect(await run(drive, 'writeZeroes', 0, 512)).toBe(0);
  });

  test('an error is the error of its request alone, logged once, and leaves what was there', async () => {
    const drive = fakeDrive();
    memory.memory.bytes.fill(1, 0, 4096);
    expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(0);
    native.control.intercept = (request) => (op(request) === RequestOp.write ? -ENOSPC : undefined);
    memory.memory.bytes.fill(2, 0, 4096);
    for (let i = 0; i < 3; i++) expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(ENOSPC);
    expect(await run(drive, 'flush')).toBe(0);
    expect(file()[0]).toBe(1);
    expect(host.lines.filter((line) => line.level === 'error').map((line) => line.message)).toEqual([
      'write failed: ENOSPC: no space left on device (said once while it lasts)',
    ]);
    native.control.intercept = null;
    expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(0);
  });

  test('one that comes again after a minute without is said again, with how often it had come', async () => {
    const drive = fakeDrive();
    const write = () => run(drive, 'write', 0, memory.segments(0, 512));
    const said = () => host.lines.filter((line) => line.level === 'error').map((line) => line.message);
    let error = EIO;
    native.control.intercept = (request) => (op(request) === RequestOp.write ? -error : undefined);
    for (let second = 0; second < 300; second += 59) {
      expect(await write()).toBe(EIO);
      host.clock.advance(59_000);
    }
    expect(said()).toEqual(['write failed: EIO: i/o error (said once while it lasts)']);
    error = ENOSPC;
    expect(await write()).toBe(ENOSPC);
    expect(said().length).toBe(2);
    host.clock.advance(1000);
    error = EIO;
    expect(await write()).toBe(EIO);
    expect(said().at(-1)).toBe(
      'write failed: EIO: i/o error (said once while it lasts; it came 6 times the last time)',
    );
    host.clock.advance(60_000);
    expect(await write()).toBe(EIO);
    expect(said().at(-1)).toBe('write failed: EIO: i/o error (said once while it lasts; it came once the last time)');
  });

  test('requests that end out of order end once each', async () => {
    native.control.completion = 'shuffled';
    const drive = fakeDrive();
    const requests = Array.from({ length: 400 }, (_, i) =>
      start(drive, i % 3 ? 'write' : 'read', (i % 16) * 4096, memory.segments(i * 512, 512)),
    );
    expect(drive.inFlight).toBe(400);
    const errors = await ended(drive, ...requests);
    expect(errors.every((error) => error === 0)).toBe(true);
    expect(requests.every((request) => request.ended === 1)).toBe(true);
    expect(drive.inFlight).toBe(0);
  });

  test('what is submitted from done is started too', async () => {
    const drive = fakeDrive();
    const first = start(drive, 'write', 0, memory.segments(0, 512));
    let second = first;
    first.onDone = () => {
      second = start(drive, 'write', 512, memory.segments(0, 512));
    };
    await ended(drive, first);
    await ended(drive, second);
    expect(second.ended).toBe(1);
  });
});

describe('durability', () => {
  const flags: number[] = [];
  const ops: number[] = [];
  const watch = () => {
    flags.length = 0;
    ops.length = 0;
    native.control.intercept = (request) => {
      flags.push(request.flags);
      ops.push(request.op);
      return undefined;
    };
  };

  test('a write with FUA says so, one without does not', async () => {
    const drive = fakeDrive();
    watch();
    await run(drive, 'write', 0, memory.segments(0, 512));
    await run(drive, 'write', 0, memory.segments(0, 512), { fua: true });
    expect(flags).toEqual([0, 2]);
  });

  test('writethrough makes every write durable, and offers no cache', async () => {
    const drive = fakeDrive('disk.img,cache=writethrough');
    expect(drive.geometry.volatileCache).toBe(false);
    watch();
    await run(drive, 'write', 0, memory.segments(0, 512));
    await run(drive, 'writeZeroes', 0, 4096);
    expect(flags[0]).toBe(2);
    expect(ops).toEqual([RequestOp.write, RequestOp.fallocate, RequestOp.flush]);
  });

  test('where a write cannot say it, a flush follows', async () => {
    const drive = fakeDrive();
    ops.length = 0;
    native.control.intercept = (request) => {
      ops.push(request.op);
      return request.flags === 2 ? -EOPNOTSUPP : undefined;
    };
    for (let i = 0; i < 2; i++) expect(await run(drive, 'write', 0, memory.segments(0, 512), { fua: true })).toBe(0);
    const { write, flush } = RequestOp;
    expect(ops).toEqual([write, write, flush, write, flush]);
  });

  test('a flush that failed stays failed, until somebody clears it', async () => {
    const drive = fakeDrive();
    native.control.intercept = (request) => (op(request) === RequestOp.flush ? -EIO : undefined);
    expect(await run(drive, 'flush')).toBe(EIO);
    native.control.intercept = null;
    expect(await run(drive, 'flush')).toBe(EIO);
    expect(await run(drive, 'write', 0, memory.segments(0, 512), { fua: true })).toBe(EIO);
    expect(await run(drive, 'writeZeroes', 0, 512, { fua: true })).toBe(EIO);
    expect(await run(drive, 'write', 0, memory.segments(0, 512))).toBe(0);
    expect(await run(drive, 'read', 0, memory.segments(0, 512))).toBe(0);
    expect(drive.failure).toContain('a flush failed (EIO');
    drive.clearFailure();
    expect(await run(drive, 'flush')).toBe(0);
    await drive.close();
  });

  test('flushes that come while one is under way share the next, and fail with it', async () => {
    native.control.completion = 'held';
    const drive = fakeDrive();
    const ring = native.control.rings[0]!;
    const flushes = Array.from({ length: 5 }, () => start(drive, 'flush'));
    drive.commit();
    expect(ring.waiting.length).toBe(1);
    ring.release();
    drive.poll();
    expect(flushes.map((flush) => flush.ended)).toEqual([1, 0, 0, 0, 0]);
    expect(ring.waiting.length).toBe(1);
    native.control.intercept = () => -ENOSPC;
    ring.release();
    drive.poll();
    expect(flushes.map((flush) => flush.error)).toEqual([0, ENOSPC, ENOSPC, ENOSPC, ENOSPC]);
    expect(await run(drive, 'flush')).toBe(EIO);
    await expect(drive.close()).rejects.toThrow('a flush failed');
    expect(native.openFds).toBe(1);
  });

  test('a durable write that the file refuses to say is asked again, however many were under way', async () => {
    native.control.completion = 'held';
    const drive = fakeDrive();
    const writes = [0, 1, 2].map((i) => start(drive, 'write', i * 512, memory.segments(0, 512), { fua: true }));
    drive.commit();
    native.control.intercept = (request) => (request.flags === 2 ? -EOPNOTSUPP : undefined);
    while (drive.inFlight > 0) {
      native.control.rings[0]!.release();
      drive.poll();
    }
    expect(writes.map((write) => write.error)).toEqual([0, 0, 0]);
  });

  test('a durable write that failed has failed a flush, one that found no room has not', async () => {
    const drive = fakeDrive();
    let error = ENOSPC;
    native.control.intercept = (request) => (op(request) === RequestOp.write ? -error : undefined);
    expect(await run(drive, 'write', 0, memory.segments(0, 512), { fua: true })).toBe(ENOSPC);
    expect(drive.failure).toBe(null);
    error = EIO;
    expect(await run(drive, 'write', 0, memory.segments(0, 512))).toBe(EIO);
    expect(drive.failure).toBe(null);
    expect(await run(drive, 'write', 0, memory.segments(0, 512), { fua: true })).toBe(EIO);
    expect(drive.failure).not.toBe(null);
  });
});

describe('zeroes and discards', () => {
  const dirty = async (drive: FileBackend) => {
    memory.memory.bytes.fill(0xff, 0, SIZE);
    expect(await run(drive, 'write', 0, memory.segments(0, SIZE))).toBe(0);
  };

  test.each([
    ['holes and ranges', []],
    ['no holes', [3]],
    ['no ranges', [0x11]],
    ['neither', [3, 0x11]],
  ])('%s: zeroes are zeroes', async (_name, refused) => {
    native.control.intercept = (request) =>
      request.op === RequestOp.fallocate && (refused as number[]).includes(request.flags) ? -EOPNOTSUPP : undefined;
    const drive = fakeDrive();
    await dirty(drive);
    expect(await run(drive, 'writeZeroes', 100, 40_000)).toBe(0);
    expect(await run(drive, 'writeZeroes', 50_000, 5000, { mayDeallocate: true })).toBe(0);
    expect(await run(drive, 'discard', 60_000, 100)).toBe(0);
    const bytes = file();
    const zeroes = [...bytes.keys()].filter((i) => bytes[i] === 0 && i < 60_000);
    expect([zeroes.length, zeroes[0], zeroes[39_999], zeroes[40_000], zeroes[44_999]]).toEqual([
      45_000, 100, 40_099, 50_000, 54_999,
    ]);
    expect(bytes[60_200]).toBe(0xff);
  });

  test('discard=ignore discards nothing and says so', async () => {
    const drive = fakeDrive('disk.img,discard=ignore');
    await dirty(drive);
    expect(drive.geometry.discardReadsZeroes).toBe(false);
    expect(await run(drive, 'discard', 0, SIZE)).toBe(0);
    expect(file()[5]).toBe(0xff);
    expect(await run(drive, 'writeZeroes', 0, 4096, { mayDeallocate: true })).toBe(0);
    expect(file()[5]).toBe(0);
  });

  test('a write of zeroes that fails is an error', async () => {
    native.control.intercept = (request) => (request.op === RequestOp.fallocate ? -ENOSPC : undefined);
    const drive = fakeDrive();
    expect(await run(drive, 'writeZeroes', 0, 4096)).toBe(ENOSPC);
  });
});

describe('O_DIRECT', () => {
  test('everything that reaches the file is aligned', async () => {
    native.control.intercept = (request) => {
      if (request.op !== RequestOp.read && request.op !== RequestOp.write) return undefined;
      expect(request.position % 512).toBe(0);
      for (const { bytes } of request.pieces) {
        expect(bytes.byteOffset % 512).toBe(0);
        expect(bytes.length % 512).toBe(0);
      }
      return undefined;
    };
    const drive = fakeDrive('disk.img,cache=none', 512);
    const cases: [number, ...number[]][] = [
      [0, 0, 4096],
      [1, 0, 10],
      [511, 0, 2],
      [512, 1, 512],
      [0, 0, 100, 1000, 412],
      [1000, 3, 30_000],
    ];
    for (const [offset, ...pieces] of cases) {
      const list = memory.segments(...pieces);
      memory.memory.bytes.fill(offset & 0xff, 0, SIZE);
      expect(await run(drive, 'write', offset, list)).toBe(0);
      const bytes = file();
      expect(bytes.subarray(offset, offset + list.lengthBytes).every((byte) => byte === (offset & 0xff))).toBe(true);
      memory.memory.bytes.fill(0xaa, 0, SIZE);
      expect(await run(drive, 'read', offset, list)).toBe(0);
      expect(memory.memory.bytes[pieces[0]!]).toBe(offset & 0xff);
    }
  });

  test('transfers that are cut inside a block go on', async () => {
    let cut = 700;
    native.control.intercept = (request) => {
      if (request.op !== RequestOp.read && request.op !== RequestOp.write) return undefined;
      const now = cut;
      cut = 0;
      return now > 0 ? now : undefined;
    };
    const drive = fakeDrive('disk.img,cache=none', 512);
    for (let i = 0; i < 4096; i++) memory.memory.bytes[i] = i * 3;
    const written = memory.memory.bytes.slice(0, 4096);
    expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(0);
    expect(file().subarray(0, 4096)).toEqual(written);
    cut = 1300;
    memory.memory.bytes.fill(0, 0, 4096);
    expect(await run(drive, 'read', 0, memory.segments(0, 4096))).toBe(0);
    expect(memory.memory.bytes.subarray(0, 1024)).toEqual(written.subarray(0, 1024));
  });

  test('two writes to one block keep both', async () => {
    native.control.completion = 'shuffled';
    const drive = fakeDrive('disk.img,cache=none', 512);
    for (let i = 0; i < 64; i++) memory.memory.bytes.fill(i + 1, i * 8, i * 8 + 8);
    const requests = Array.from({ length: 64 }, (_, i) => start(drive, 'write', i * 8, memory.segments(i * 8, 8)));
    expect(new Set(await ended(drive, ...requests))).toEqual(new Set([0]));
    const bytes = file();
    for (let i = 0; i < 512; i++) expect(bytes[i]).toBe((i >> 3) + 1);
  });
});

describe('a full file system', () => {
  const kernel = loadNative();
  let mountPoint: string | null = null;

  const mount = (): boolean => {
    try {
      const folder = mkdtempSync(join(tmpdir(), 'sidecard-full-'));
      mkdirSync(folder, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', folder], { stdio: 'ignore' });
      mountPoint = folder;
      return true;
    } catch {
      return false;
    }
  };
  afterEach(() => {
    if (mountPoint === null) return;
    execFileSync('umount', [mountPoint]);
    rmSync(mountPoint, { recursive: true });
    mountPoint = null;
  });

  test('is ENOSPC, and loses nothing that was written', async (context) => {
    if (!mount()) context.skip('no right to mount a tmpfs');
    const drive = openDrive(parseDrive(`${mountPoint}/disk.img,size=4M`), testHost(kernel));
    const real = new DeviceMemory(kernel);
    real.memory.bytes.fill(5, 0, 512 * 1024);
    expect(await run(drive, 'write', 0, real.segments(0, 512 * 1024))).toBe(0);
    real.memory.bytes.fill(6, 0, 1024 * 1024);
    expect(await run(drive, 'write', 1024 * 1024, real.segments(0, 1024 * 1024))).toBe(ENOSPC);
    expect(await run(drive, 'flush')).toBe(0);
    expect(await run(drive, 'read', 0, real.segments(0, 512 * 1024))).toBe(0);
    expect(real.memory.bytes.subarray(0, 512 * 1024).every((byte) => byte === 5)).toBe(true);
    expect(await run(drive, 'discard', 0, 512 * 1024)).toBe(0);
    expect(await run(drive, 'write', 1024 * 1024, real.segments(0, 256 * 1024))).toBe(0);
    await drive.close();
    real.close();
  });
});

import { execFileSync } from 'node:child_process';
import { constants as fileConstants, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FakeNative, FdInfo, loadNative } from '../src/index.ts';
import { natives } from './natives.ts';

const { EAGAIN, EBADF, EPIPE } = constants.errno;

describe.each(natives)('eventfds: $name', ({ create }) => {
  const native = create();

  it('count signals', () => {
    const fd = native.eventfd();
    expect(native.drain(fd)).toBe(0);
    for (let i = 0; i < 3; i++) expect(native.signal(fd)).toBe(0);
    expect([native.drain(fd), native.drain(fd)]).toEqual([3, 0]);
    native.close(fd);
  });

  it('never block when they are full', () => {
    const fd = native.eventfd();
    if (native instanceof FakeNative) native.saturate(fd);
    else writeSync(fd, new BigUint64Array([2n ** 64n - 2n]));
    expect(native.signal(fd)).toBe(-EAGAIN);
    expect(native.drain(fd)).toBeGreaterThan(2 ** 63);
    expect(native.signal(fd)).toBe(0);
    native.close(fd);
  });

  it('are refused when they are closed', () => {
    const fd = native.eventfd();
    expect([native.close(fd), native.close(fd)]).toEqual([0, -EBADF]);
    expect([native.signal(fd), native.drain(fd), native.dup(fd)]).toEqual([-EBADF, -EBADF, -EBADF]);
    expect(native.signal(-1)).toBe(-EBADF);
  });

  it('share their counter with a duplicate', () => {
    const fd = native.eventfd();
    const copy = native.dup(fd);
    native.signal(fd);
    native.close(fd);
    expect(native.drain(copy)).toBe(1);
    native.close(copy);
  });
});

describe('eventfds of a client in blocking mode', () => {
  const native = loadNative();

  function flagsOf(fd: number): number {
    const out = new Float64Array(FdInfo.columns);
    native.fdInfo(fd, out);
    return out[FdInfo.flags]!;
  }

  it('do not block us, and stay in that mode', () => {
    const fd = native.eventfd();
    native.setNonblock(fd, false);
    const flags = flagsOf(fd);
    expect(native.drain(fd)).toBe(0);
    writeSync(fd, new BigUint64Array([2n ** 64n - 2n]));
    expect(native.signal(fd)).toBe(-EAGAIN);
    native.drain(fd);
    expect(native.drain(fd)).toBe(0);
    native.watch(fd, 'read', () => {}).close();
    expect(flagsOf(fd)).toBe(flags);
    native.close(fd);
  });

  it('may be pipes or sockets whose other end is closed: drained to their end, which is told', () => {
    const [ours, theirs] = native.socketPair();
    expect(native.drain(ours)).toBe(0);
    native.signal(theirs);
    native.close(theirs);
    expect([native.drain(ours), native.drain(ours), native.drain(ours)]).toEqual([1, -EPIPE, -EPIPE]);
    native.close(ours);
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-pipe-'));
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const reader = native.open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK, 0);
    const writer = native.open(path, fileConstants.O_WRONLY, 0);
    expect(native.drain(reader)).toBe(0);
    native.close(writer);
    expect(native.drain(reader)).toBe(-EPIPE);
    native.close(reader);
    rmSync(folder, { recursive: true });
  });

  it('may be pipes: a full one, and one that nobody reads', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-pipe-'));
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const reader = native.open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK, 0);
    const writer = native.open(path, fileConstants.O_WRONLY, 0);
    expect(native.drain(reader)).toBe(0);
    expect([native.signal(writer), native.drain(reader)]).toEqual([0, 1]);
    let signals = 0;
    while (native.signal(writer) === 0) signals++;
    expect(signals).toBeGreaterThan(0);
    expect(native.signal(writer)).toBe(-EAGAIN);
    native.close(reader);
    expect(native.signal(writer)).toBe(-EPIPE);
    native.close(writer);
    rmSync(folder, { recursive: true });
  });
});

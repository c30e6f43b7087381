import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { loadNative, Seal } from '../src/index.ts';
import { mappingsOf, natives } from './natives.ts';

const { EBADF, EEXIST, EINVAL, ENOENT, EPERM } = constants.errno;

describe.each(natives)('mappings: $name', ({ create, openFds }) => {
  const native = create();

  function map(fd: number, length = 8192): ArrayBuffer {
    const buffer = native.map(fd, 0, length, true);
    if (typeof buffer === 'number') throw new Error(`map: ${buffer}`);
    return buffer;
  }

  it('show the bytes of the file, and write to it', () => {
    const fd = native.memfd('shown', 8192);
    const buffer = map(fd);
    const copy = native.pin(new ArrayBuffer(16));
    const words = new Int32Array(buffer);
    words[1024] = 0x1234;
    const other = new ArrayBuffer(16);
    const handle = native.pin(other);
    expect(native.pread(fd, handle, 0, 4, 4096)).toBe(4);
    expect(new Int32Array(other)[0]).toBe(0x1234);
    new Int32Array(other)[1] = 77;
    expect(native.pwrite(fd, handle, 4, 4, 8)).toBe(4);
    expect(words[2]).toBe(77);
    expect([native.unpin(handle), native.unpin(copy), native.unmap(buffer), native.close(fd)]).toEqual([0, 0, 0, 0]);
  });

  it('work with Atomics', () => {
    const fd = native.memfd('atomic', 4096);
    const buffer = map(fd, 4096);
    const words = new Int32Array(buffer);
    Atomics.store(words, 3, 40);
    expect(Atomics.add(words, 3, 2)).toBe(40);
    expect([Atomics.load(words, 3), words[3]]).toEqual([42, 42]);
    expect(Atomics.compareExchange(words, 3, 42, 1)).toBe(42);
    native.unmap(buffer);
    native.close(fd);
  });

  it('outlive their fd, are detached by unmap, and unmap again does nothing', () => {
    const before = openFds(native);
    const fd = native.memfd('detached', 8192);
    const buffer = map(fd);
    native.close(fd);
    const view = new Uint8Array(buffer);
    view[5] = 1;
    const handle = native.mapping(buffer);
    expect(handle).toBeGreaterThan(0);
    expect([native.unmap(buffer), native.unmap(buffer)]).toEqual([0, 0]);
    expect([buffer.byteLength, view.length, view[5]]).toEqual([0, 0, undefined]);
    expect(native.faulted(handle), 'a stale handle').toBe(-EINVAL);
    expect(openFds(native)).toBe(before);
  });

  it('never give a stale handle new memory', () => {
    const fd = native.memfd('stale', 4096);
    const seen = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const buffer = map(fd, 4096);
      const handle = native.mapping(buffer);
      expect(seen.has(handle)).toBe(false);
      seen.add(handle);
      native.unmap(buffer);
    }
    native.close(fd);
  });

  it('refuse what cannot be', () => {
    const fd = native.memfd('refused', 4096);
    expect(native.map(fd, 0, 0, true)).toBe(-EINVAL);
    expect(native.map(fd, 1, 4096, true)).toBe(-EINVAL);
    expect(native.map(fd, -4096, 4096, true)).toBe(-EINVAL);
    expect(native.map(99_999, 0, 4096, true)).toBe(-EBADF);
    expect(native.unmap(new ArrayBuffer(8))).toBe(-EINVAL);
    expect(native.mapping(new ArrayBuffer(8))).toBe(-ENOENT);
    native.close(fd);
  });

  it('keep a sealed file whole', () => {
    const fd = native.memfd('sealed', 4096);
    expect(native.seal(fd, Seal.shrink | Seal.grow | Seal.seal)).toBe(0);
    expect(native.truncate(fd, 0)).toBe(-EPERM);
    expect(native.seal(fd, Seal.write)).toBe(-EPERM);
    native.close(fd);
  });
});

describe.each(natives)('pinned memory: $name', ({ create }) => {
  const native = create();

  it('has one handle until it is unpinned', () => {
    for (const buffer of [new ArrayBuffer(64), new SharedArrayBuffer(64)]) {
      const handle = native.pin(buffer);
      expect(native.mapping(buffer)).toBe(handle);
      expect(native.pin(buffer)).toBe(-EEXIST);
      expect(native.unpin(handle)).toBe(0);
      expect(native.unpin(handle)).toBe(-EINVAL);
      expect(native.mapping(buffer)).toBe(-ENOENT);
    }
  });
});

describe('mappings of the kernel', () => {
  const native = loadNative();

  it('are one piece of /proc/self/maps each, and none after unmap', () => {
    const fd = native.memfd('sidecard-counted', 8192);
    const buffers = Array.from({ length: 50 }, () => native.map(fd, 0, 8192, true) as ArrayBuffer);
    native.close(fd);
    expect(mappingsOf('sidecard-counted')).toBe(50);
    new Uint8Array(buffers[0]!)[9] = 9;
    expect(new Uint8Array(buffers[49]!)[9]).toBe(9);
    for (const buffer of buffers) expect(native.unmap(buffer)).toBe(0);
    expect(mappingsOf('sidecard-counted')).toBe(0);
  });

  it('start at an offset', () => {
    const fd = native.memfd('offset', 16384);
    const whole = native.map(fd, 0, 16384, true) as ArrayBuffer;
    const part = native.map(fd, 8192, 4096, false) as ArrayBuffer;
    new Uint8Array(whole)[8192] = 3;
    expect(new Uint8Array(part)[0]).toBe(3);
    for (const buffer of [whole, part]) native.unmap(buffer);
    native.close(fd);
  });

  it('may be larger than 4 GiB', () => {
    const size = 6 * 2 ** 30;
    const fd = native.memfd('large', size);
    const buffer = native.map(fd, 0, size, true) as ArrayBuffer;
    const view = new Uint8Array(buffer);
    view[size - 1] = 8;
    expect([view[size - 1], view.length]).toEqual([8, size]);
    expect(native.pread(fd, native.mapping(buffer), size - 4096, 4096, 0)).toBe(4096);
    expect(view[size - 1]).toBe(0);
    native.unmap(buffer);
    native.close(fd);
  });

  it('are locked in memory where that is allowed', () => {
    const fd = native.memfd('locked', 4096);
    const buffer = native.map(fd, 0, 4096, true) as ArrayBuffer;
    expect([0, -constants.errno.ENOMEM, -EPERM]).toContain(native.lockMemory(native.mapping(buffer)));
    native.unmap(buffer);
    native.close(fd);
  });

  it('cannot be pinned when resizable', () => {
    expect(() => native.pin(new ArrayBuffer(8, { maxByteLength: 16 }))).toThrow(TypeError);
  });
});

import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { loadNative } from '../src/index.ts';
import { natives } from './natives.ts';

const { EFAULT } = constants.errno;

describe.each(natives)('copies between mappings: $name', ({ create }) => {
  const native = create();

  it('move bytes, also where the ranges overlap', () => {
    const [from, to] = [new ArrayBuffer(16), new ArrayBuffer(16)];
    const [source, target] = [native.pin(from), native.pin(to)];
    const [read, written] = [new Uint8Array(from), new Uint8Array(to)];
    for (let i = 0; i < 16; i++) read[i] = i;
    expect(native.copy(target, 4, source, 8, 3)).toBe(0);
    expect([...written.subarray(3, 8)]).toEqual([0, 8, 9, 10, 0]);
    expect(native.copy(source, 1, source, 0, 15)).toBe(0);
    expect([read[0], read[1], read[15]]).toEqual([0, 0, 14]);
    expect(native.copy(target, 16, source, 16, 0)).toBe(0);
    for (const handle of [source, target]) native.unpin(handle);
  });

  it('touch nothing when a handle or a range is bad', () => {
    const to = new ArrayBuffer(16);
    const [source, target, stale] = [native.pin(new ArrayBuffer(16)), native.pin(to), native.pin(new ArrayBuffer(16))];
    native.unpin(stale);
    new Uint8Array(to).fill(5);
    for (const [targetOffset, sourceOffset, length] of [
      [9, 0, 8],
      [0, 9, 8],
      [-1, 0, 1],
      [0, -1, 1],
      [17, 0, 0],
      [0, 0, 2 ** 53],
      [2 ** 53, 0, 1],
    ] as const) {
      expect(native.copy(target, targetOffset, source, sourceOffset, length)).toBe(-EFAULT);
    }
    expect([native.copy(target, 0, stale, 0, 1), native.copy(stale, 0, source, 0, 1)]).toEqual([-EFAULT, -EFAULT]);
    expect(new Uint8Array(to).every((byte) => byte === 5)).toBe(true);
    for (const handle of [source, target]) native.unpin(handle);
  });
});

describe('copies of the kernel', () => {
  const native = loadNative();

  it('are refused into a mapping that is not writable', () => {
    const fd = native.memfd('read-only', 4096);
    const buffer = native.map(fd, 0, 4096, false) as ArrayBuffer;
    const source = native.pin(new ArrayBuffer(16));
    expect(native.copy(native.mapping(buffer), 0, source, 0, 16)).toBe(-EFAULT);
    native.unpin(source);
    native.unmap(buffer);
    native.close(fd);
  });

  it('survive a file that is cut, in the middle of C', () => {
    const [cut, whole] = [native.memfd('cut', 16_384), native.memfd('whole', 16_384)];
    const buffers = [cut, whole].map((fd) => native.map(fd, 0, 16_384, true) as ArrayBuffer);
    const [source, target] = buffers.map((buffer) => native.mapping(buffer)) as [number, number];
    const [from, to] = buffers.map((buffer) => new Uint8Array(buffer).fill(7)) as [Uint8Array, Uint8Array];
    native.truncate(cut, 4096);
    expect(native.copy(target, 0, source, 0, 16_384)).toBe(0);
    expect([to[4095], to[4096], to[16_383]]).toEqual([7, 0, 0]);
    expect([native.faulted(source), native.faulted(target)]).toEqual([1, 0]);
    expect(native.copy(source, 8192, target, 0, 4096), 'and as the target').toBe(0);
    expect(from[8192]).toBe(7);
    for (const buffer of buffers) native.unmap(buffer);
    for (const fd of [cut, whole]) native.close(fd);
  });
});

import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { loadNative } from '../src/index.ts';

const { EBADF, EINVAL } = constants.errno;

describe('arguments of the kernel that are not what they should be', () => {
  const native = loadNative();

  it('are no fd: nothing becomes 0, the standard input', () => {
    for (const fd of [Number.NaN, Infinity, 2 ** 32, 0.5, '0', null, undefined, {}]) {
      expect(native.dup(fd as number), String(fd)).toBe(-EBADF);
    }
  });

  it('are refused where memory would be written past their end', () => {
    const fd = native.memfd('arguments', 8);
    const wrong = new Uint8Array(8) as never;
    expect(native.fdInfo(fd, wrong)).toBe(-EINVAL);
    expect(native.statxDioAlign(fd, wrong)).toBe(-EINVAL);
    const [a, b] = native.socketPair();
    const bytes = new Uint8Array(8);
    expect(native.send(a, bytes, 0, 8, null)).toBe(8);
    expect(native.receive(b, bytes, 0, 8, wrong)).toBe(-EINVAL);
    expect(native.receive(b, new Float64Array(1) as never, 0, 1, new Int32Array(1))).toBe(-EINVAL);
    expect(native.send(a, bytes, 0, 8, wrong)).toBe(-EINVAL);
    expect(native.receive(b, bytes, 0, 8, new Int32Array(1)), 'all is still there').toBe(8);
    for (const open of [fd, a, b]) native.close(open);
  });
});

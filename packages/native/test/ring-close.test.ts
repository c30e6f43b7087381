import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { loadNative, RequestOp } from '../src/index.ts';

const { EBADF } = constants.errno;

describe.each([false, true])('a ring that is closed (threads only: %s)', (forceThreads) => {
  const native = loadNative();

  it('does not act on the one that came after it', () => {
    const before = native.openRing(4, { forceThreads });
    before.close();
    const after = native.openRing(4, { forceThreads });
    before.queue[0] = 0;
    expect(before.submit(1)).toBe(-EBADF);
    expect(before.poll()).toBe(0);
    before.close();
    const fd = native.memfd('flushed', 1);
    after.op[0] = RequestOp.flush;
    after.fd[0] = fd;
    after.queue[0] = 0;
    expect(after.submit(1), 'closing twice closed it').toBe(0);
    while (after.poll() === 0);
    expect([...after.completions.subarray(0, 2)]).toEqual([0, 0]);
    after.close();
    native.close(fd);
  });
});

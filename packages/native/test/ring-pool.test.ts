import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { loadNative, RequestOp } from '../src/index.ts';
import { PoolWord } from '../src/ring-columns.ts';
import { moduleText } from './natives.ts';

it('threads lose no completion when the 32-bit counters of their queue wrap', () => {
  const native = loadNative();
  const ring = native.openRing(6, { forceThreads: true });
  const fd = native.memfd('flushed', 1);
  ring.poolWords.fill(-3, PoolWord.head, PoolWord.tail + 1);
  for (let slot = 0; slot < 6; slot++) {
    ring.op[slot] = RequestOp.flush;
    ring.fd[slot] = fd;
    ring.queue[slot] = slot;
  }
  expect(ring.submit(6)).toBe(0);
  // All are there before the first is taken.
  while (Atomics.load(ring.poolWords, PoolWord.tail) !== 3);
  expect(ring.poll()).toBe(6);
  const slots = Array.from({ length: 6 }, (_, i) => ring.completions[2 * i]!);
  expect(slots.sort()).toEqual([0, 1, 2, 3, 4, 5]);
  ring.close();
  native.close(fd);
});

it('a process that may open no more files is told so by openRing', () => {
  const body = `
    const open = [];
    try { for (;;) open.push(native.eventfd()); } catch {}
    let code;
    try { native.openRing(4); } catch (error) { code = error.code; }
    for (const fd of open) native.close(fd);
    console.log(code);
  `;
  const shell = ['-c', 'ulimit -n 100; exec "$0" "$@"', process.execPath, ...moduleText(body)];
  expect(execFileSync('bash', shell, { encoding: 'utf8' }).trim()).toBe('EMFILE');
});

import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { WatchEvent } from '../src/index.ts';
import { moduleText, natives } from './natives.ts';

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

describe.each(natives)('watches: $name', ({ create }) => {
  const native = create();

  it('call when there is something to read, again and again until it is read', async () => {
    const fd = native.eventfd();
    const seen: number[] = [];
    let calls = 0;
    const watch = native.watch(fd, 'read', (events) => {
      expect(events).toBe(WatchEvent.readable);
      calls++;
      if (calls % 2 === 0) seen.push(native.drain(fd));
    });
    await turns(5);
    expect(calls).toBe(0);
    for (let i = 1; i <= 3; i++) {
      native.signal(fd);
      await turns(10);
      expect([calls, seen.length]).toEqual([2 * i, i]);
    }
    watch.stop();
    native.signal(fd);
    await turns(5);
    expect(calls).toBe(6);
    watch.start();
    await turns(5);
    expect(calls).toBe(8);
    watch.close();
    watch.close();
    native.signal(fd);
    await turns(5);
    expect(calls).toBe(8);
    native.close(fd);
  });

  it('call when there is room to write', async () => {
    const [a, b] = native.socketPair();
    const block = new Uint8Array(65536);
    while (native.send(a, block, 0, block.length, null) > 0);
    let calls = 0;
    const watch = native.watch(a, 'write', (events) => {
      expect(events).toBe(WatchEvent.writable);
      calls++;
    });
    await turns(5);
    expect(calls).toBe(0);
    while (native.receive(b, block, 0, block.length, new Int32Array(1)) > 0);
    await turns(5);
    expect(calls).toBeGreaterThan(0);
    watch.close();
    for (const fd of [a, b]) native.close(fd);
  });

  it('see a connection and its end', async () => {
    const [a, b] = native.socketPair();
    let result = -1;
    const watch = native.watch(b, 'read', () => {
      result = native.receive(b, new Uint8Array(1), 0, 1, new Int32Array(1));
      watch.close();
    });
    native.close(a);
    await turns(5);
    expect(result).toBe(0);
    native.close(b);
  });

  it('refuse what cannot be watched', () => {
    expect(() => native.watch(99_999, 'read', () => {})).toThrow(expect.objectContaining({ code: 'EBADF' }));
    const file = native.memfd('file', 1);
    expect(() => native.watch(file, 'read', () => {})).toThrow(expect.objectContaining({ code: 'EPERM' }));
    native.close(file);
  });
});

describe('watches of the kernel', () => {
  const native = natives[0]!.create();

  it('run ticks and promises after each callback', async () => {
    const fd = native.eventfd();
    const order: string[] = [];
    const watch = native.watch(fd, 'read', () => {
      native.drain(fd);
      process.nextTick(() => order.push('tick'));
      Promise.resolve().then(() => order.push('promise'));
      setImmediate(() => order.push('turn'));
    });
    native.signal(fd);
    await turns(4);
    expect(order).toEqual(['tick', 'promise', 'turn']);
    watch.close();
    native.close(fd);
  });

  it('allow one per fd', () => {
    const fd = native.eventfd();
    const watch = native.watch(fd, 'read', () => {});
    expect(() => native.watch(fd, 'read', () => {})).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    watch.close();
    native.watch(fd, 'read', () => {}).close();
    native.close(fd);
  });

  function workerOf(body: string): Worker {
    const [, , text] = moduleText(body);
    return new Worker(new URL(`data:text/javascript,${encodeURIComponent(text!)}`));
  }

  it('work in a worker, which ends by itself when they are closed', async () => {
    const worker = workerOf(`
      import { parentPort } from 'node:worker_threads';
      const fd = native.eventfd();
      const watch = native.watch(fd, 'read', () => {
        parentPort.postMessage(native.drain(fd));
        watch.close();
        native.close(fd);
      });
      native.signal(fd);
    `);
    const [[message], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    expect([message, code]).toEqual([1, 0]);
  });

  it('pass on what a callback throws, as an uncaught exception', async () => {
    const worker = workerOf(`
      const fd = native.eventfd();
      native.watch(fd, 'read', () => { throw new Error('from the callback'); });
      native.signal(fd);
    `);
    expect((await once(worker, 'error'))[0]).toMatchObject({ message: 'from the callback' });
  });

  it('keep a process alive unless told otherwise', async () => {
    const worker = workerOf(`native.watch(native.eventfd(), 'read', () => {}).unref();`);
    expect((await once(worker, 'exit'))[0]).toBe(0);
  });

  it('are given back with rings, mappings and pins when a worker is ended', async () => {
    const worker = workerOf(`
      import { parentPort } from 'node:worker_threads';
      const fd = native.eventfd();
      native.watch(fd, 'read', () => {});
      const memfd = native.memfd('sidecard-worker', 4096);
      const handle = native.mapping(native.map(memfd, 0, 4096, true));
      native.pin(new ArrayBuffer(64));
      for (const forceThreads of [true, false]) {
        const ring = native.openRing(4, { forceThreads });
        ring.op[0] = 2;
        ring.fd[0] = memfd;
        ring.segments[0] = 1;
        ring.setSegment(0, 0, handle, 0, 4096);
        ring.submit(1);
      }
      for (const open of [fd, memfd]) parentPort.postMessage(open);
    `);
    const opened: number[] = [];
    worker.on('message', (fd: number) => opened.push(fd));
    while (opened.length < 2) await once(worker, 'message');
    await worker.terminate();
    for (const fd of opened) expect(native.close(fd)).toBe(0);
    expect((await import('./natives.ts')).mappingsOf('sidecard-worker')).toBe(0);
  });
});

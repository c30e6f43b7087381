import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { loadNative, RequestOp } from '../src/index.ts';
import { moduleText } from './natives.ts';

const { EFAULT } = constants.errno;

function workerOf(body: string, workerData: unknown): Worker {
  const [, , text] = moduleText(`import { parentPort, workerData } from 'node:worker_threads';\n${body}`);
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(text!)}`), { workerData });
}

describe('memory and threads', () => {
  it('the guard outlives the only thread that loaded the addon', () => {
    const script = `
      import { Worker } from 'node:worker_threads';
      const body = ${JSON.stringify(moduleText(`native.map(native.memfd('mapped', 4096), 0, 4096, true);`)[2])};
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(body)));
      worker.on('exit', () => setTimeout(() => process.kill(process.pid, 'SIGBUS'), 10));
      setTimeout(() => {}, 5000);
    `;
    const shell = ['-c', 'ulimit -c 0; exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script];
    const { status, signal } = spawnSync('bash', shell);
    expect({ status, signal }).toEqual({ status: null, signal: 'SIGBUS' });
  });

  const native = loadNative();

  it('pinned memory is I/O memory of the thread that pinned it only: it ends with that thread', async () => {
    const shared = new SharedArrayBuffer(64);
    const body = `parentPort.postMessage(native.pin(workerData)); setInterval(() => {}, 1000);`;
    const worker = workerOf(body, shared);
    const [handle] = (await once(worker, 'message')) as [number];
    const fd = native.memfd('pinned', 64);
    expect(native.pread(fd, handle, 0, 64, 0)).toBe(-EFAULT);
    const ours = native.pin(shared);
    expect(ours).toBeGreaterThan(0);
    expect(native.mapping(shared)).toBe(ours);
    expect([native.copy(ours, 0, handle, 0, 8), native.copy(handle, 0, ours, 0, 8)]).toEqual([-EFAULT, -EFAULT]);
    const ring = native.openRing(1);
    ring.op[0] = RequestOp.read;
    ring.fd[0] = fd;
    ring.segments[0] = 1;
    ring.setSegment(0, 0, handle, 0, 64);
    ring.submit(1);
    while (ring.poll() === 0);
    expect(ring.completions[1]).toBe(-EFAULT);
    await worker.terminate();
    expect(native.pread(fd, ours, 0, 64, 0), 'ours is untouched by its end').toBe(64);
    expect(native.unpin(ours)).toBe(0);
    ring.close();
    native.close(fd);
  });

  it('no thread can unmap what another is copying from', () => {
    const { status, signal, stdout } = spawnSync(
      process.execPath,
      moduleText(`
        import { Worker } from 'node:worker_threads';
        const size = 2 ** 28;
        const fd = native.memfd('copied', size);
        const buffer = native.map(fd, 0, size, true);
        const targetBuffer = native.map(native.memfd('target', size), 0, size, true);
        const workerData = { source: native.mapping(buffer), target: native.mapping(targetBuffer), size };
        const [source, target] = [new Uint8Array(buffer), new Int32Array(targetBuffer)];
        source[2 ** 22] = 1; // not the first, which may be copied last
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(moduleText('')[2])} + \`
          import { workerData } from 'node:worker_threads';
          const result = native.copy(workerData.target, 0, workerData.source, 0, workerData.size);
          if (result !== 0) throw new Error(String(result));
        \`)), { workerData });
        while (Atomics.load(target, 2 ** 20) === 0);
        console.log(native.unmap(buffer));
        worker.on('exit', () => console.log(native.unmap(buffer)));
      `),
      { encoding: 'utf8' },
    );
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: `${-constants.errno.EBUSY}\n0\n` });
  });
});

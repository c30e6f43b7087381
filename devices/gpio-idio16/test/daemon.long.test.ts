import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DaemonProcess, fromSource } from '@sidecard/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { GpioDaemon, run } from './daemon.ts';

const main = new URL('../src/main.ts', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'gpio-daemon-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the control socket', () => {
  test('is for its owner alone, and gone with the daemon', async () => {
    const daemon = await GpioDaemon.start();
    expect(statSync(daemon.controlPath).mode & 0o777).toBe(0o600);
    expect(await daemon.stop()).toBe(0);
    expect([existsSync(daemon.controlPath), existsSync(daemon.socket)]).toEqual([false, false]);
    await daemon.remove();
  });

  test('is not there unless it is asked for', async () => {
    const daemon = await DaemonProcess.start(fromSource(main, '--socket', '{socket}'));
    expect(readdirSync(daemon.folder).filter((name) => name.endsWith('.sock'))).toEqual(['device.sock']);
    expect(await daemon.stop()).toBe(0);
    await daemon.remove();
  });

  test('of a running daemon is refused to a second one, which leaves nothing; of a killed one it is taken over', async () => {
    const daemon = await GpioDaemon.start();
    const socket = join(folder, 'second');
    const second = await run(['--socket', socket, '--control', daemon.controlPath]).ended;
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('is in use by a running daemon') });
    expect(existsSync(socket)).toBe(false);
    expect(await daemon.control.get('/device')).toMatchObject({ socket: daemon.socket });
    await daemon.process.kill();
    expect(existsSync(daemon.controlPath)).toBe(true);
    const command = fromSource(main, '--socket', '{socket}', '--control', daemon.controlPath);
    const third = await DaemonProcess.start(command);
    expect(await third.stop()).toBe(0);
    expect(existsSync(daemon.controlPath)).toBe(false);
    await third.remove();
    await daemon.remove();
  });

  test('goes when the other socket cannot be had', async () => {
    const control = join(folder, 'c');
    const ended = await run(['--socket', join(folder, 'no/such'), '--control', control]).ended;
    expect([ended.code, existsSync(control)]).toEqual([1, false]);
  });

  test('ends with streams, requests and connections open', async () => {
    const daemon = await GpioDaemon.start();
    const stream = daemon.control.events('/changes');
    await stream.next();
    const pulse = daemon.control
      .post('/inputs/pulse', { inputs: ['IN0'], ms: 60_000 })
      .catch((error: Error) => error.message);
    await daemon.control.get('/device');
    expect(await daemon.process.stop()).toBe(0);
    expect(await pulse).toContain('hung up');
    await daemon.stop();
    await daemon.remove();
  });
});

test.each<[string[], number, string]>([
  [['--socket', 's', '--control', ''], 2, '--control: the path is empty'],
  [['--socket', 's', '--control', 's'], 2, '--control and --socket are the same path'],
  [['--socket', 's', '--control', 'no/such/c'], 1, 'its folder does not exist'],
  [['--socket', 's', '--control', 'file'], 1, 'exists and is not a socket'],
  [['--socket', 's', '--control', 'c'.repeat(108)], 1, 'too long for a socket'],
  [['--socket', 's', '--loopback=yes'], 2, '--loopback'],
  [['--control', 'c'], 2, '--socket <path> is required'],
])('%j: exit code %i and one line', async (args, code, message) => {
  writeFileSync(join(folder, 'file'), '');
  const ended = await run(args, { cwd: folder }).ended;
  expect(ended).toMatchObject({ code, stderr: expect.stringContaining(message) });
  expect(ended.stderr).toMatch(/^sidecard-gpio-idio16: [^\n]+\n$/);
  expect(existsSync(join(folder, 's'))).toBe(false);
});

test('a stranger that listens there keeps its socket', async () => {
  const path = join(folder, 'stranger');
  const server = createServer().listen(path);
  const ended = await run(['--socket', join(folder, 's'), '--control', path]).ended;
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('is in use') });
  expect(existsSync(path)).toBe(true);
  server.close();
});

test('under full work of the device control requests are answered, and the device goes on while they are', async () => {
  const daemon = await GpioDaemon.start();
  const busy = new Worker(new URL('./busy-guest.ts', import.meta.url), {
    workerData: daemon.socket,
    execArgv: ['--conditions=@sidecard/source'],
  });
  const counts = new Int32Array(await new Promise<SharedArrayBuffer>((resolve) => busy.once('message', resolve)));
  const accesses = () => Atomics.load(counts, 0);
  let latest = 0;
  for (let i = 0; i < 100; i++) {
    const asked = performance.now();
    await daemon.control.patch('/inputs', { IN0: i & 1 });
    latest = Math.max(latest, performance.now() - asked);
  }
  const before = accesses();
  const many = Array.from({ length: 20 }, async () => {
    for (let i = 0; i < 20; i++) await daemon.control.get('/metrics');
  });
  await Promise.all(many);
  expect(accesses() - before).toBeGreaterThan(20);
  // These are milliseconds where nobody else wants the processors; nothing waits for the other side to end.
  expect([latest < 2000, Atomics.load(counts, 1) < 2_000_000]).toEqual([true, true]);
  await busy.terminate();
  expect(await daemon.stop()).toBe(0);
  expect(daemon.process.log).not.toMatch(/"level":[56]0/);
  await daemon.remove();
});

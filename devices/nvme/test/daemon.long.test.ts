import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type DaemonProcess, fromSource, Program } from '@sidecard/testing';
import { afterAll, expect, test } from 'vitest';
import { startNvme } from './daemon.ts';

const main = new URL('../src/main.ts', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'sidecard-nvme-'));
const children: ChildProcess[] = [];
const daemons: DaemonProcess[] = [];

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const daemon of daemons) await daemon.remove();
  rmSync(folder, { recursive: true });
});

/** One that is not expected to serve on a path; `fd` is a listening socket for it. */
function program(args: readonly string[], fd?: number): Program {
  const handedOver = fd === undefined ? {} : { fds: [fd], env: { LISTEN_FDS: '1', LISTEN_PID: undefined } };
  return new Program(fromSource(main, ...args), { cwd: folder, ...handedOver });
}

async function serving(...args: string[]): Promise<DaemonProcess> {
  const daemon = await startNvme(args);
  daemons.push(daemon);
  return daemon;
}

function image(name: string, sizeBytes = 1 << 20): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  return path;
}

test.each([
  [['--drive', 'mem:1M'], 2, '--socket <path> is required'],
  [['--socket', 'x'], 2, '--drive <drive>'],
  [['--socket', 'x', '--pool', 'x'], 2, 'size= is needed'],
  [['--socket', 'x', '--pool', 'none/pool,size=1M'], 1, 'none/pool: ENOENT'],
  [['--socket', 'x', '--drive', 'mem:1M', '--bogus'], 2, '--bogus'],
  [['--socket', 'x', '--drive', 'mem:1M', '--doorbells', 'loud'], 2, 'loud'],
  [['--socket', 'x', '--drive', 'mem:100'], 2, 'smaller than a block'],
  [['--socket', 'x', '--drive', 'mem:1M,lba=7'], 2, 'lba='],
  [['--socket', 'x', '--drive', 'missing.img,on-stall=panic'], 2, 'on-stall= is wait or error'],
  [['--socket', 'x', '--drive', 'missing.img,on-stall=error,after=25'], 2, "'25' is no time"],
  [['--socket', 'x', '--drive', 'missing.img'], 1, 'no such file'],
  [['--socket', '/no/such/folder/x', '--drive', 'mem:1M'], 1, 'folder does not exist'],
  [['--socket', '/dev/null/x', '--drive', 'mem:1M'], 1, 'folder is not a folder'],
  [['--socket', 'x'.repeat(108), '--drive', 'mem:1M'], 1, 'too long for a socket'],
  [['--socket', 'x', '--drive', 'mem:1M,serial=A', '--drive', 'mem:1M,serial=A'], 2, 'serial=A is given twice'],
  [['--socket', 'x', '--drive', 'new.img,size=1M', '--drive', './new.img'], 2, './new.img is given twice'],
  [['--socket', 'x', '--drive', 'new.img,size=1M', '--drive', 'missing.img'], 1, 'no such file'],
  [['--socket', 'x', '--drive', 'mem:1P'], 2, '16T at most'],
])('%j: exit code %i and one line', async (args, code, message) => {
  const ended = await program(args).ended;
  expect(ended.code).toBe(code);
  expect(ended.stderr).toContain(message);
  expect(ended.stderr).toMatch(/^sidecard-nvme: [^\n]+\n$/);
  expect(existsSync(join(folder, 'x'))).toBe(false);
  expect(existsSync(join(folder, 'new.img'))).toBe(false);
});

test('a drive smaller than a block', async () => {
  image('small.img', 1000);
  const ended = await program(['--socket', 'x', '--drive', 'small.img,lba=4096']).ended;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^sidecard-nvme: [^\n]+smaller than a block[^\n]+\n$/);
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s: ends with 0 and leaves no socket', async (signal) => {
  const daemon = await serving('--drive', image(`${signal}.img`), '--drive', 'null:1G');
  expect(statSync(daemon.socket).mode & 0o777).toBe(0o600);
  daemon.signal(signal);
  expect(await daemon.exited).toBe(0);
  expect(existsSync(daemon.socket)).toBe(false);
  // JSON lines, since stderr is no terminal; and nothing on stdout.
  const lines = daemon.log.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).msg).at(-1)).toBe('ended');
});

test('SIGHUP: a drive that has grown is measured again, and the daemon goes on', async () => {
  const drive = image('growing.img');
  const daemon = await serving('--drive', drive);
  await daemon.logged('serving');
  truncateSync(drive, 2 << 20);
  daemon.signal('SIGHUP');
  await daemon.logged('"sizeBytes":2097152,"was":1048576,"msg":"has another size"');
  expect(await daemon.stop()).toBe(0);
});

test('a socket and a drive in use are refused, a stale socket is not', async () => {
  const drive = image('shared.img');
  const first = await serving('--drive', drive);
  const sameSocket = await program(['--socket', first.socket, '--drive', 'mem:1M']).ended;
  expect([sameSocket.code, sameSocket.stderr]).toEqual([1, expect.stringContaining('in use by a running daemon')]);
  const sameDrive = await program(['--socket', join(folder, 's-second'), '--drive', drive]).ended;
  expect([sameDrive.code, sameDrive.stderr]).toEqual([1, expect.stringContaining('in use')]);
  await first.kill();
  expect(existsSync(first.socket)).toBe(true);
  const again = await startNvme(['--drive', drive], first.folder);
  expect(await again.stop()).toBe(0);
});

test('a listening socket that is handed over', async () => {
  const path = join(folder, 's-inherited');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const { child, ended } = program(['--drive', 'mem:1M'], fd);
  const [line] = await once(child.stderr!, 'data');
  expect(String(line)).toContain('serving');
  child.kill('SIGTERM');
  expect((await ended).code).toBe(0);
  server.close();
});

test('a socket that is handed over and is no UNIX stream', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const ended = await program(['--drive', 'mem:1M'], fd).ended;
  expect([ended.code, ended.stderr]).toEqual([
    1,
    expect.stringMatching(/^sidecard-nvme: [^\n]+not a UNIX stream socket\n$/),
  ]);
  server.close();
});

test.each(['nobody reads', 'the disk is full', 'nobody is there'])(
  'a log where %s: it serves, and ends',
  async (why) => {
    const fifo = join(folder, `log ${why}`);
    execFileSync('mkfifo', [fifo]);
    const full = why === 'the disk is full';
    const reader = full ? -1 : openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const log = openSync(full ? '/dev/full' : fifo, constants.O_WRONLY);
    if (why === 'nobody reads') fill(fifo);
    if (why === 'nobody is there') closeSync(reader);
    const path = join(folder, `s-log-${why.length}`);
    const [node, ...args] = fromSource(main, '--socket', path, '--drive', 'mem:1M');
    const child = spawn(node!, args, { stdio: ['ignore', 'ignore', log] });
    children.push(child);
    const exit = once(child, 'exit');
    for (let tries = 0; !existsSync(path) && tries < 1000; tries++) await setTimeout(10);
    child.kill('SIGTERM');
    expect(await Promise.race([exit, setTimeout(5000)])).toEqual([0, null]);
    expect(existsSync(path)).toBe(false);
    closeSync(log);
  },
);

/** Leaves no room in a pipe. */
function fill(fifo: string): void {
  const fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
  for (const bytes of [4096, 1]) {
    try {
      for (;;) writeSync(fd, new Uint8Array(bytes));
    } catch {
      // EAGAIN: full.
    }
  }
  closeSync(fd);
}

test('--help and --version', async () => {
  const [help, version] = await Promise.all([program(['--help']).ended, program(['--version']).ended]);
  expect([help.code, version.code]).toEqual([0, 0]);
  expect(help.stdout).toContain('--doorbells');
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

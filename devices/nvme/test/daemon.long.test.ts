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
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'sidecard-nvme-'));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

interface Daemon {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function daemon(args: readonly string[], options: { fd?: number } = {}): Daemon {
  const environment =
    options.fd === undefined ? process.env : { ...process.env, LISTEN_FDS: '1', LISTEN_PID: undefined };
  const stdio = options.fd === undefined ? 'pipe' : (['pipe', 'pipe', 'pipe', options.fd] as const);
  const child = spawn(process.execPath, ['--conditions=@sidecard/source', main, ...args], {
    cwd: folder,
    env: environment,
    stdio: stdio as 'pipe',
  });
  children.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })) };
}

async function serving(name: string, ...args: string[]) {
  const socket = join(folder, name);
  const running = daemon(['--socket', socket, ...args]);
  for (let tries = 0; !existsSync(socket) || !(statSync(socket).mode & 0o600); tries++) {
    if (running.child.exitCode !== null || tries > 1000) throw new Error((await running.ended).stderr);
    await setTimeout(10);
  }
  // The handlers of signals are there before the socket is.
  return { ...running, socket };
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
  const ended = await daemon(args).ended;
  expect(ended.code).toBe(code);
  expect(ended.stderr).toContain(message);
  expect(ended.stderr).toMatch(/^sidecard-nvme: [^\n]+\n$/);
  expect(existsSync(join(folder, 'x'))).toBe(false);
  expect(existsSync(join(folder, 'new.img'))).toBe(false);
});

test('a drive smaller than a block', async () => {
  image('small.img', 1000);
  const ended = await daemon(['--socket', 'x', '--drive', 'small.img,lba=4096']).ended;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^sidecard-nvme: [^\n]+smaller than a block[^\n]+\n$/);
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s: ends with 0 and leaves no socket', async (signal) => {
  const { child, ended, socket } = await serving(
    `s-${signal}`,
    '--drive',
    image(`${signal}.img`),
    '--drive',
    'null:1G',
  );
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  child.kill(signal);
  const { code, stdout, stderr } = await ended;
  expect(code).toBe(0);
  expect(stdout).toBe('');
  expect(existsSync(socket)).toBe(false);
  // JSON lines, since stderr is no terminal.
  expect(
    stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg)
      .at(-1),
  ).toBe('ended');
});

test('SIGHUP: a drive that has grown is measured again, and the daemon goes on', async () => {
  const drive = image('growing.img');
  const { child, ended } = await serving('s-SIGHUP', '--drive', drive);
  let log = '';
  child.stderr!.on('data', (text) => {
    log += text;
  });
  const logged = async (text: string) => {
    for (let tries = 0; !log.includes(text) && tries < 1000; tries++) await setTimeout(10);
  };
  await logged('serving');
  truncateSync(drive, 2 << 20);
  child.kill('SIGHUP');
  await logged('has another size');
  expect(log).toContain('"sizeBytes":2097152,"was":1048576,"msg":"has another size"');
  child.kill('SIGTERM');
  expect((await ended).code).toBe(0);
});

test('a socket and a drive in use are refused, a stale socket is not', async () => {
  const drive = image('shared.img');
  const first = await serving('s-first', '--drive', drive);
  const sameSocket = await daemon(['--socket', first.socket, '--drive', 'mem:1M']).ended;
  expect([sameSocket.code, sameSocket.stderr]).toEqual([1, expect.stringContaining('in use by a running daemon')]);
  const sameDrive = await daemon(['--socket', join(folder, 's-second'), '--drive', drive]).ended;
  expect([sameDrive.code, sameDrive.stderr]).toEqual([1, expect.stringContaining('in use')]);
  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(first.socket)).toBe(true);
  const again = daemon(['--socket', first.socket, '--drive', drive, '--log-level', 'info']);
  await once(again.child.stderr!, 'data');
  again.child.kill('SIGTERM');
  expect((await again.ended).code).toBe(0);
});

test('a listening socket that is handed over', async () => {
  const path = join(folder, 's-inherited');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const { child, ended } = daemon(['--drive', 'mem:1M'], { fd });
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
  const ended = await daemon(['--drive', 'mem:1M'], { fd }).ended;
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
    const args = ['--conditions=@sidecard/source', main, '--socket', path, '--drive', 'mem:1M'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', log] });
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
  const [help, version] = await Promise.all([daemon(['--help']).ended, daemon(['--version']).ended]);
  expect([help.code, version.code]).toEqual([0, 0]);
  expect(help.stdout).toContain('--doorbells');
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

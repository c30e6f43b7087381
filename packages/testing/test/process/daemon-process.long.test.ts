import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { DaemonProcess, Program } from '../../src/index.ts';

/** A daemon of another language, in so far as Node without anything of ours is one. */
const node = (script: string, ...args: string[]) => [process.execPath, '-e', script, '{socket}', ...args];
const server = `require('net').createServer((socket) => console.log('client')).listen(process.argv[1]);`;

const folder = mkdtempSync(join(tmpdir(), 'daemon-process-'));
const daemons: DaemonProcess[] = [];
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.remove();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function start(...[command, options]: Parameters<typeof DaemonProcess.start>): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start(command, options);
  daemons.push(daemon);
  return daemon;
}

test('a daemon listens, logs, takes signals and ends', async () => {
  const daemon = await start(node(`process.on('SIGHUP', () => console.error('hung up')); ${server}`));
  expect(daemon.running).toBe(true);
  expect(daemon.readyMs).toBeGreaterThan(1);
  expect(daemon.log).toBe('');
  const client = daemon.connect();
  await daemon.logged('client');
  daemon.signal('SIGHUP');
  await daemon.logged(/client\nhung up/);
  client.close();
  expect(await daemon.stop()).toBe('SIGTERM');
  expect([daemon.running, await daemon.exited, daemon.log]).toEqual([false, 'SIGTERM', 'client\nhung up\n']);
  await daemon.remove();
  expect([existsSync(daemon.folder), daemon.log]).toEqual([false, 'client\nhung up\n']);
});

test('what it says when it is asked to end is what stop answers', async () => {
  const daemon = await start(node(`process.on('SIGTERM', () => process.exit(7)); ${server}`));
  expect(await daemon.stop()).toBe(7);
});

test('one that listens later, or somewhere else first, is waited for', async () => {
  const daemon = await start(
    node(`const at = process.argv[1]; require('net').createServer().listen(at + '.other');
      setTimeout(() => require('net').createServer().listen(at), 100);`),
  );
  expect(daemon.readyMs).toBeGreaterThan(100);
  daemon.connect().close();
});

test('nobody has connected when it is ready: its only client is the test', async () => {
  const daemon = await start(node(`${server.replace('client', 'one more')}`));
  daemon.connect().close();
  await daemon.logged('one more');
  await sleep(20);
  expect(daemon.log).toBe('one more\n');
});

test('one that ends instead is an error of one line, and the log', async () => {
  const command = node(`console.error('there is no such drive'); process.exitCode = 3;`);
  const error = await DaemonProcess.start(command).catch((reason: Error) => reason);
  expect((error as Error).message).toMatch(
    /^node .* ended with 3 before it listened at [^\n]+\nthere is no such drive$/,
  );
});

test('so is one that does not come up, which is killed', async () => {
  const command = node(`console.log(process.pid); setInterval(() => {}, 1000);`);
  const error = await DaemonProcess.start(command, { timeoutMs: 3000 }).catch((reason: Error) => reason);
  const [, pid] = /^node [^\n]+ has not listened at [^\n]+ in 3000 ms\n(\d+)$/.exec((error as Error).message)!;
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test.each([
  [['no-such-daemon', '{socket}'], {}, /^no-such-daemon [^\n]+ ended with 127 .*\n.*No such file/],
  [node(server), { cwd: '/no/such/folder' }, /^node [^\n]+ ended with 127 .*\n.*ENOENT/],
])('so is one that cannot be run: %j', async (command, options, message) => {
  await expect(DaemonProcess.start(command, options)).rejects.toThrow(message);
});

test('waiting for a line that does not come ends with the log', async () => {
  const daemon = await start(node(`console.log('here'); process.on('SIGHUP', () => process.exit()); ${server}`));
  await expect(daemon.logged('there', 50)).rejects.toThrow(/has not logged there in 50 ms\nhere$/);
  const waiting = daemon.logged(/there/);
  daemon.signal('SIGHUP');
  await expect(waiting).rejects.toThrow(/ended with 0 before it logged \/there\/\nhere$/);
});

test('one that does not end when it is asked to is killed, and an error', async () => {
  const daemon = await start(node(`process.on('SIGTERM', () => console.log('never')); ${server}`));
  await expect(daemon.stop(200)).rejects.toThrow(/has not ended 200 ms after SIGTERM\nnever$/);
  expect(await daemon.exited).toBe('SIGKILL');
});

test('one that prints more than a pipe holds is not held up by a test that does something else', async () => {
  const daemon = await start(
    node(`require('fs').writeSync(1, 'x'.repeat(1 << 20)); require('net').createServer().listen(process.argv[1]);`),
  );
  expect(daemon.log).toHaveLength(1 << 20);
});

test('in a folder that is given, which stays; with words and variables of its own', async () => {
  const print = `${server} console.log(process.argv[2], process.env.COLOUR, process.env.HOME, process.cwd());`;
  const options = { folder, cwd: folder, env: { COLOUR: 'red', HOME: undefined } };
  const daemon = await start(node(print, 'file={folder}/disk.img'), options);
  expect(daemon.socket.startsWith(folder)).toBe(true);
  await daemon.logged(`file=${folder}/disk.img red undefined ${folder}\n`);
  await daemon.kill();
  // A socket that was left by one is not the next one's.
  expect(existsSync(daemon.socket)).toBe(true);
  await expect(start(node('setInterval(() => {}, 1000)'), { folder, timeoutMs: 300 })).rejects.toThrow('not listened');
  expect(existsSync(folder)).toBe(true);
});

test('what it holds and uses', async () => {
  const daemon = await start(node(server));
  const before = daemon.holdings();
  const client = daemon.connect();
  await daemon.logged('client');
  expect(daemon.holdings().fds.length).toBe(before.fds.length + 1);
  client.close();
  while (daemon.holdings().fds.length > before.fds.length) await sleep(5);
  expect(daemon.holdings()).toEqual(before);
  expect(before.maps.some((name) => name.endsWith('/node'))).toBe(true);
  expect(daemon.cpuNs()).toBeGreaterThan(1e6);
  expect(daemon.residentBytes()).toBeGreaterThan(10e6);
});

test('await using', async () => {
  let gone: DaemonProcess;
  {
    await using daemon = await DaemonProcess.start(node(server));
    gone = daemon;
  }
  expect([gone.running, existsSync(gone.folder)]).toEqual([false, false]);
});

test.concurrent.each(['it is killed', 'it ends', 'it throws'])(
  'nothing outlives a process of tests: %s',
  async (how) => {
    const last = { 'it is killed': '', 'it ends': 'process.exit();', 'it throws': `throw new Error('enough');` }[how];
    const script = `
    import { DaemonProcess } from '${new URL('../../src/process/daemon-process.ts', import.meta.url)}';
    const { pid, folder } = await DaemonProcess.start(${JSON.stringify(node(server))});
    console.log(JSON.stringify({ pid, folder }));
    ${last}
    setInterval(() => {}, 1000);`;
    const flags = ['--conditions=@sidecard/source', '--input-type=module', '-e', script];
    const tests = new Program([process.execPath, ...flags], { cwd: import.meta.dirname });
    while (!tests.stdout.includes('\n')) await once(tests.child.stdout!, 'data');
    const { pid, folder } = JSON.parse(tests.stdout);
    if (last === '') {
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      tests.child.kill('SIGKILL');
    }
    await tests.ended;
    const left = () => [`/proc/${pid}`, folder].filter((path) => existsSync(path));
    for (let tries = 0; left().length > 0 && tries < 500; tries++) await sleep(10);
    expect(left()).toEqual([]);
  },
);

test('a program that ends: its status, and what it printed', async () => {
  const echo = `process.stdin.pipe(process.stdout); console.error(process.env.COLOUR); process.exitCode = 5;`;
  const options = { input: 'in and out', env: { COLOUR: 'blue' } };
  expect(await new Program([process.execPath, '-e', echo], options).ended).toEqual({
    code: 5,
    stdout: 'in and out',
    stderr: 'blue\n',
  });
});

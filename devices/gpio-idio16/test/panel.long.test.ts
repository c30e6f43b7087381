import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DaemonProcess, fromSource } from '@sidecard/testing';
import { afterAll, expect, test } from 'vitest';
import { main, run } from './daemon.ts';
import { openPanel, Panel } from './panel.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpio-panel-'));
afterAll(() => rmSync(folder, { recursive: true }));

function start(...args: readonly string[]): Promise<DaemonProcess> {
  return DaemonProcess.start(fromSource(main, '--socket', '{socket}', ...args));
}

const usage = 'neither a port (0 to 65535) nor ADDRESS:PORT';
test.each<[string[], number, string]>([
  [['--panel', ''], 2, usage],
  [['--panel', 'x'], 2, usage],
  [['--panel', '65536'], 2, usage],
  [['--panel=-1'], 2, usage],
  [['--panel', 'example.org:80'], 2, usage],
  [['--panel', '::1:8080'], 2, usage],
  [['--panel'], 2, 'argument missing'],
  [['--panel', '192.0.2.7:0'], 1, '--panel: cannot listen on 192.0.2.7 port 0: this machine has no such address'],
])('%j: exit code %i and one line, and nothing is served', async (args, code, message) => {
  const ended = await run(['--socket', 's', '--control', 'c', ...args], { cwd: folder }).ended;
  expect(ended).toMatchObject({ code, stderr: expect.stringContaining(message) });
  expect(ended.stderr).toMatch(/^sidecard-gpio-idio16: [^\n]+\n$/);
  expect(['s', 'c', 's.panel-token'].filter((name) => existsSync(join(folder, name)))).toEqual([]);
});

test('a port in use: exit code 1 and one line, and nothing is served', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const ended = await run(['--socket', 's', '--control', 'c', '--panel', `${port}`], { cwd: folder }).ended;
  expect(ended).toMatchObject({
    code: 1,
    stderr: `sidecard-gpio-idio16: --panel: cannot listen on 127.0.0.1 port ${port}: the port is in use\n`,
  });
  expect(['s', 'c', 's.panel-token'].filter((name) => existsSync(join(folder, name)))).toEqual([]);
  server.close();
});

test('a second daemon of the same socket is refused, and the first one keeps its token', async () => {
  await using daemon = await start('--panel', '0');
  const panel = await openPanel(daemon);
  const ended = await run(['--socket', daemon.socket, '--panel', '0']).ended;
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('is in use by a running daemon') });
  expect((await panel.patch({ IN0: 1 })).status).toBe(200);
  expect(await daemon.stop()).toBe(0);
});

test('a token that is a link, or that others may read, is not used', async () => {
  const token = join(folder, 's.panel-token');
  writeFileSync(token, `${'x'.repeat(24)}\n`, { mode: 0o644 });
  const args = ['--socket', 's', '--panel', '0'];
  const refused = {
    code: 2,
    stderr: expect.stringMatching(/^sidecard-gpio-idio16: s.panel-token [^\n]+: remove it, [^\n]+\n$/),
  };
  expect(await run(args, { cwd: folder }).ended).toMatchObject(refused);
  rmSync(token);
  symlinkSync('/etc/hostname', token);
  expect(await run(args, { cwd: folder }).ended).toMatchObject(refused);
  expect(existsSync(join(folder, 's'))).toBe(false);
  rmSync(token);
});

test('the token is the same after a kill, and the port can be had again', async () => {
  const first = await start('--panel', '0');
  const { url } = await openPanel(first);
  const stream = new Panel(url).events();
  await stream.next();
  const rest = stream.next().catch(({ message }: Error) => message);
  await first.kill();
  expect(await rest).toBe('terminated');
  const again = ['--socket', '{socket}', '--panel', new URL(url).port];
  await using second = await DaemonProcess.start(fromSource(main, ...again), { folder: first.folder });
  expect((await openPanel(second)).url).toBe(url);
  expect((await new Panel(url).patch({ IN1: 1 })).status).toBe(200);
  const file = `${second.socket}.panel-token`;
  expect([statSync(file).mode & 0o777, url]).toEqual([
    0o600,
    expect.stringContaining(readFileSync(file, 'utf8').trim()),
  ]);
  expect(await second.stop()).toBe(0);
  await first.remove();
});

test('it ends with streams, requests and connections open', async () => {
  await using daemon = await start('--panel', '0');
  const panel = await openPanel(daemon);
  const stream = panel.events();
  await stream.next();
  const rest = stream.next().catch(() => null);
  expect(await daemon.stop()).toBe(0);
  await rest;
  await expect(panel.patch({ IN0: 1 })).rejects.toThrow('ECONNREFUSED');
});

test('without --panel nothing listens, and there is no token', async () => {
  await using daemon = await start();
  const inodes = [...readFileSync('/proc/net/tcp', 'utf8').matchAll(/ 0A \S+ \S+ \S+ +\d+ +\d+ (\d+)/g)].map(
    ([, n]) => n,
  );
  const held = readdirSync(`/proc/${daemon.pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${daemon.pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  expect(held.filter((name) => inodes.some((inode) => name === `socket:[${inode}]`))).toEqual([]);
  expect(existsSync(`${daemon.socket}.panel-token`)).toBe(false);
});

test('at the loopback it is of this machine alone; elsewhere the log warns', async () => {
  await using loopback = await start('--panel', '[::1]:0');
  expect((await openPanel(loopback)).url).toMatch(/^http:\/\/\[::1\]:\d+\/#token=/);
  expect(loopback.log).not.toContain('"level":40');
  await using everywhere = await start('--panel', '0.0.0.0:0');
  const panel = await openPanel(everywhere);
  await everywhere.logged(/"level":40,.*can be reached by the network, and nothing is encrypted/);
  expect((await panel.patch({ IN0: 1 })).status).toBe(200);
});

test('a panel that is open costs an idle daemon nothing', async () => {
  await using daemon = await start('--panel', '0');
  const stream = (await openPanel(daemon)).events();
  await stream.next();
  await setTimeout(500);
  const before = daemon.cpuNs();
  await setTimeout(3000);
  expect((daemon.cpuNs() - before) / 1e6).toBeLessThan(30);
  await stream.return();
});

import { existsSync } from 'node:fs';
import { DaemonProcess, fromSource } from '@sidecard/testing';
import { afterEach, expect, test } from 'vitest';

const main = new URL('daemon-under-test.ts', import.meta.url);
let daemon: DaemonProcess;

/** `hangup`: what SIGHUP does. */
async function start(hangup: string): Promise<void> {
  daemon = await DaemonProcess.start(fromSource(main, '--socket', '{socket}', '--hangup', hangup));
  await daemon.logged('"msg":"serving"');
}
afterEach(() => daemon.remove());

const messages = () =>
  daemon.log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).msg as string);

test('SIGHUP has the device look again, as often as it comes', async () => {
  await start('reload');
  daemon.signal('SIGHUP');
  await daemon.logged('looked again');
  daemon.signal('SIGHUP');
  await daemon.logged(/looked again.*looked again/s);
  expect(messages()).toEqual(['serving', 'looking again', 'looked again', 'looking again', 'looked again']);
  expect(await daemon.stop()).toBe(0);
});

test('SIGHUP to a device that has nothing to look at is a line, and nothing else', async () => {
  await start('none');
  daemon.signal('SIGHUP');
  await daemon.logged('nothing to look at again: ignored');
  expect(existsSync(daemon.socket)).toBe(true);
  expect(await daemon.stop()).toBe(0);
  expect(existsSync(daemon.socket)).toBe(false);
});

test('a device that fails to look again goes on', async () => {
  await start('fails');
  daemon.signal('SIGHUP');
  await daemon.logged('looking again failed');
  expect(daemon.log).toContain('"error":"no such; luck"');
  expect(await daemon.stop()).toBe(0);
});

test('SIGHUP while it ends changes nothing', async () => {
  await start('reload');
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGHUP'] as const) daemon.signal(signal);
  expect(await daemon.exited).toBe(0);
});

test.each(['SIGTERM', 'twice'])('ends while a file system does not answer, %s', async (how) => {
  await start('hangs');
  daemon.signal('SIGHUP');
  await daemon.logged('looked again');
  daemon.signal('SIGTERM');
  await daemon.logged('ending: no more commands');
  if (how === 'twice') daemon.signal('SIGTERM');
  await daemon.exited;
  expect(daemon.log).toContain(how === 'twice' ? 'ending at once' : 'a file system does not answer');
});

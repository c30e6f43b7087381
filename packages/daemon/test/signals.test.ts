import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const main = fileURLToPath(new URL('daemon-under-test.ts', import.meta.url));
let folder: string;
let child: ChildProcess;
let log: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-daemon-'));
});
afterEach(() => {
  child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const messages = () =>
  log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line).msg as string);

async function logged(message: string, times = 1): Promise<void> {
  for (let tries = 0; messages().filter((one) => one === message).length < times; tries++) {
    if (tries > 1000 || child.exitCode !== null) throw new Error(`no '${message}' in the log: ${log}`);
    await sleep(10);
  }
}

async function daemon(hangup: string): Promise<void> {
  const args = ['--conditions=@sidecard/source', main, '--socket', `${folder}/socket`, '--hangup', hangup];
  child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] });
  log = '';
  child.stderr!.on('data', (text) => {
    log += text;
  });
  await logged('serving');
}

async function terminated(): Promise<number> {
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  return code;
}

test('SIGHUP has the device look again, as often as it comes', async () => {
  await daemon('reload');
  for (const time of [1, 2]) {
    child.kill('SIGHUP');
    await logged('looked again', time);
  }
  expect(messages()).toEqual(['serving', 'looking again', 'looked again', 'looking again', 'looked again']);
  expect(await terminated()).toBe(0);
});

test('SIGHUP to a device that has nothing to look at is a line, and nothing else', async () => {
  await daemon('none');
  child.kill('SIGHUP');
  await logged('nothing to look at again: ignored');
  expect(existsSync(`${folder}/socket`)).toBe(true);
  expect(await terminated()).toBe(0);
  expect(existsSync(`${folder}/socket`)).toBe(false);
});

test('a device that fails to look again goes on', async () => {
  await daemon('fails');
  child.kill('SIGHUP');
  await logged('looking again failed');
  expect(log).toContain('"error":"no such; luck"');
  expect(await terminated()).toBe(0);
});

test('SIGHUP while it ends changes nothing', async () => {
  await daemon('reload');
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGHUP'] as const) child.kill(signal);
  const [code] = await once(child, 'exit');
  expect(code).toBe(0);
});

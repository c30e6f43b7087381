import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SerialConsole } from '../src/serial-console.ts';

let folder: string;
let serial: SerialConsole;
let machine: Socket;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-console-'));
  serial = await SerialConsole.listen(join(folder, 'socket'));
  machine = connect(join(folder, 'socket'));
});
afterEach(() => {
  machine.destroy();
  serial.close();
  rmSync(folder, { recursive: true });
});

test('a prompt is waited for, though it ends no line, and each wait goes on where the last ended', async () => {
  machine.write('U-Boot\n=> ');
  expect(await serial.until('=> ')).toBe('U-Boot\n=> ');
  const next = serial.until('=> ');
  machine.write('scan\n=');
  machine.write('> ');
  expect(await next).toBe('scan\n=> ');
});

test('what moves the cursor or chooses colours is left out, in whatever pieces it comes', async () => {
  machine.write('\x1b[2J\x1b[01;01Hboot\x1b[0');
  await sleep(5);
  machine.write(';37;40med\x1b7 ok\n');
  expect(await serial.until('\n')).toBe('booted ok\n');
});

test('lines are typed', async () => {
  machine.write('ready');
  await serial.until('ready');
  serial.type('nvme scan\r');
  const [typed] = await new Promise<Buffer[]>((resolve) => machine.once('data', (data) => resolve([data])));
  expect(typed?.toString()).toBe('nvme scan\r');
});

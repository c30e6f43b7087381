import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PanelToken } from '../../src/panel/panel-token.ts';

let folder: string;
let socket: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'panel-'));
  socket = join(folder, 'device.sock');
  file = `${socket}.panel-token`;
});
afterEach(() => rmSync(folder, { recursive: true }));

test('is kept for its owner alone, and is the same after a restart', () => {
  const first = new PanelToken(socket);
  first.keep();
  expect([statSync(file).mode & 0o777, readFileSync(file, 'utf8')]).toEqual([0o600, `${first.text}\n`]);
  const second = new PanelToken(socket);
  second.keep();
  expect([second.text, second.matches(first.text)]).toEqual([first.text, true]);
});

test('is another for each daemon, and hard to guess', () => {
  const texts = [new PanelToken(socket), new PanelToken(socket), new PanelToken(undefined)].map(({ text }) => text);
  expect(new Set(texts).size).toBe(3);
  for (const text of texts) expect(text).toMatch(/^[\w-]{24}$/);
});

test('is not written before the daemon serves, nor where there is no path', () => {
  new PanelToken(socket);
  new PanelToken(undefined).keep();
  expect(() => statSync(file)).toThrow('ENOENT');
});

const text = 'x'.repeat(24);
test.each<[string, () => void]>([
  ['may be read by others', () => chmodSync(writeToken(file), 0o640)],
  ['is a link', () => symlinkSync(writeToken(join(folder, 'elsewhere')), file)],
  ['is a folder', () => mkdirSync(file)],
  ['is a pipe', () => execFileSync('mkfifo', ['-m', '600', file])],
  ['is empty', () => writeFileSync(file, '', { mode: 0o600 })],
  ['is short', () => writeFileSync(file, 'x', { mode: 0o600 })],
  ['is long', () => writeFileSync(file, 'x'.repeat(1e6), { mode: 0o600 })],
])('a file that %s is not taken, in one line', (_, make) => {
  make();
  expect(() => new PanelToken(socket)).toThrow(/panel-token .*: remove it, and there will be a new/);
});

function writeToken(path: string): string {
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

test('matches itself and nothing else', () => {
  writeToken(file);
  const token = new PanelToken(socket);
  expect([text, '', text.slice(1), `${text}x`, text.toUpperCase()].map((given) => token.matches(given))).toEqual([
    true,
    ...[false, false, false, false],
  ]);
});

import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadNative } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BlockBackend, DurableFile, openDrive, parseDrive } from '../src/index.ts';
import { testHost } from './drive-under-test.ts';

let folder: string;
let file: DurableFile;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-durable-'));
  file = new DurableFile(`${folder}/table`);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('there is none, then there is the last one', async () => {
  expect(file.load()).toBe(null);
  await file.replace('one\n');
  expect(file.load()).toBe('one\n');
  await file.replace('');
  expect(file.load()).toBe('');
  expect(readdirSync(folder)).toEqual(['table']);
  expect(statSync(file.path).mode & 0o777).toBe(0o600);
});

test('replacements that come at once are done in their order', async () => {
  const all = Array.from({ length: 20 }, (_, index) => file.replace(`${index}`));
  await all[4];
  expect(Number(file.load())).toBeGreaterThanOrEqual(4);
  await Promise.all(all);
  expect(file.load()).toBe('19');
});

test('what a killed process has left beside it is nothing to anybody', async () => {
  writeFileSync(`${folder}/table`, 'old');
  writeFileSync(`${folder}/table.new`, 'half of a ne');
  expect(file.load()).toBe('old');
  await file.replace('new');
  expect(file.load()).toBe('new');
  expect(readdirSync(folder)).toEqual(['table']);
});

test('a link in the place of the temporary file is not followed', async () => {
  writeFileSync(`${folder}/victim`, 'precious');
  symlinkSync(`${folder}/victim`, `${folder}/table.new`);
  await file.replace('new');
  expect(readFileSync(`${folder}/victim`, 'utf8')).toBe('precious');
  expect(file.load()).toBe('new');
});

test('where it cannot be written or read, one line says which file and why', async () => {
  const lost = new DurableFile(`${folder}/none/table`);
  await expect(lost.replace('x')).rejects.toThrow(`${folder}/none/table: ENOENT: no such file or directory`);
  mkdirSync(`${folder}/table/sub`, { recursive: true });
  expect(() => file.load()).toThrow(`${folder}/table: EISDIR`);
  await expect(file.replace('x')).rejects.toThrow(`${folder}/table: EISDIR`);
  expect(readdirSync(folder)).toEqual(['table']);
});

test('one that failed does not keep the next from being done', async () => {
  const path = `${folder}/later`;
  const later = new DurableFile(`${path}/table`);
  const first = later.replace('x');
  await expect(first).rejects.toThrow('ENOENT');
  mkdirSync(path);
  await later.replace('y');
  expect(later.load()).toBe('y');
});

test('a process that is killed at any moment leaves the old or the new one, whole', async () => {
  // Long enough to be written in more than one piece.
  const script = `
    import { DurableFile } from '@sidecard/block';
    const file = new DurableFile(process.argv[1]);
    for (let round = 0; ; round++) await file.replace(String(round % 10).repeat(300_000));`;
  const from = { cwd: import.meta.dirname, stdio: ['ignore', 'ignore', 'inherit'] as ('ignore' | 'inherit')[] };
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, file.path], from);
    while (!existsSync(file.path) && child.exitCode === null) await sleep(2);
    await sleep(10 + round * 3);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    const text = file.load()!;
    expect(text.length).toBe(300_000);
    expect(new Set(text).size).toBe(1);
    // What is left of the last one stays for the next.
    rmSync(file.path);
  }
});

describe('a file system of its own', () => {
  let mounted: string | null = null;

  const mount = (options: string): boolean => {
    mounted = `${folder}/mounted`;
    mkdirSync(mounted);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', mounted], { stdio: 'ignore' });
      return true;
    } catch {
      mounted = null;
      return false;
    }
  };
  afterEach(() => {
    if (mounted !== null) execFileSync('umount', [mounted]);
    mounted = null;
  });

  test('that is full keeps the old one, and nothing beside it', async (context) => {
    if (!mount('size=64k')) context.skip('no right to mount a tmpfs');
    const full = new DurableFile(`${mounted}/table`);
    await full.replace('old');
    writeFileSync(`${mounted}/filler`, new Uint8Array(32 * 1024));
    await expect(full.replace('x'.repeat(100_000))).rejects.toThrow('ENOSPC: no space left on device');
    expect(full.load()).toBe('old');
    expect(readdirSync(mounted!).sort()).toEqual(['filler', 'table']);
    rmSync(`${mounted}/filler`);
    await full.replace('new');
    expect(full.load()).toBe('new');
  });

  test('that is read-only keeps the old one', async (context) => {
    if (!mount('size=64k')) context.skip('no right to mount a tmpfs');
    const fixed = new DurableFile(`${mounted}/table`);
    await fixed.replace('old');
    execFileSync('mount', ['-o', 'remount,ro', mounted!]);
    await expect(fixed.replace('new')).rejects.toThrow('EROFS');
    expect(fixed.load()).toBe('old');
  });
});

describe('beside a drive', () => {
  const drives: BlockBackend[] = [];
  const open = (text: string) => {
    const drive = openDrive(parseDrive(text), testHost(loadNative()));
    drives.push(drive);
    return drive;
  };
  afterEach(async () => {
    for (const drive of drives.splice(0)) await drive.close();
  });

  test('an image that is written has files, the same by whatever link it was opened', async () => {
    const image = `${folder}/disk.img`;
    writeFileSync(image, new Uint8Array(4096));
    symlinkSync(image, `${folder}/link`);
    const beside = open(`${folder}/link`).beside('.format')!;
    expect(beside.path).toBe(`${image}.format`);
    expect(drives[0]!.beside('.format')).toBe(beside);
    expect(drives[0]!.beside('.other')).not.toBe(beside);
    await beside.replace('4096');
    await drives.splice(0)[0]!.close();
    expect(open(image).beside('.format')!.load()).toBe('4096');
  });

  test('an image that is only read has those that were written before', () => {
    writeFileSync(`${folder}/disk.img`, new Uint8Array(4096));
    writeFileSync(`${folder}/disk.img.format`, '512');
    expect(open(`${folder}/disk.img,readonly`).beside('.format')!.load()).toBe('512');
  });

  test.each(['mem:1M', 'null:1M'])('%s has none', (text) => {
    expect(open(text).beside('.format')).toBe(null);
  });
});

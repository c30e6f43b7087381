import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '@sidecard/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BlockBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, run, testHost } from './drive-under-test.ts';

const SIZE = 1024 * 1024;
const EINVAL = 22;
const native = loadNative();
let folder: string;
let memory: DeviceMemory;
let host: ReturnType<typeof testHost>;
let drive: BlockBackend | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-measure-'));
  memory = new DeviceMemory(native);
  host = testHost(native);
  writeFileSync(`${folder}/disk.img`, new Uint8Array(SIZE).fill(3));
});
afterEach(async () => {
  await drive?.close();
  drive = null;
  memory.close();
  rmSync(folder, { recursive: true });
});

const image = () => `${folder}/disk.img`;
const open = (options = ''): BlockBackend => {
  drive = openDrive(parseDrive(`${image()}${options}`), host);
  return drive;
};
const write = (offset: number, bytes: number) => run(drive!, 'write', offset, memory.segments(0, bytes));

test.each(['', ',cache=none'])('a file that grows%s: the new blocks are zero, and can be written', async (options) => {
  const drive = open(options);
  expect(drive.remeasure()).toBe(false);
  truncateSync(image(), 2 * SIZE);
  // Nobody has looked yet.
  expect(drive.geometry.sizeBytes).toBe(SIZE);
  expect(await write(SIZE, 4096)).toBe(EINVAL);
  expect(drive.remeasure()).toBe(true);
  expect(drive.geometry.sizeBytes).toBe(2 * SIZE);
  expect(await run(drive, 'read', 2 * SIZE - 4096, memory.segments(0, 4096))).toBe(0);
  expect(memory.memory.bytes[0]).toBe(0);
  expect(await write(2 * SIZE - 4096, 4096)).toBe(0);
  expect(await write(2 * SIZE - 4096, 8192)).toBe(EINVAL);
  expect(drive.remeasure()).toBe(false);
  expect(host.lines.filter(({ message }) => message === 'has another size').length).toBe(1);
});

test('a file that is cut: what is gone is refused, and does not grow again', async () => {
  const drive = open();
  truncateSync(image(), SIZE / 2);
  expect(drive.remeasure()).toBe(true);
  expect(drive.geometry.sizeBytes).toBe(SIZE / 2);
  for (const operation of ['writeZeroes', 'discard'] as const) {
    expect(await run(drive, operation, SIZE / 2 - 512, 1024)).toBe(EINVAL);
  }
  expect(await write(SIZE / 2, 512)).toBe(EINVAL);
  expect(await write(SIZE / 2 - 512, 512)).toBe(0);
  expect(statSync(image()).size).toBe(SIZE / 2);
});

test.each([
  ['', 512, 512],
  [',lba=4096', 4096, 4096],
])('whole blocks only, of a file with %s', (options, block, lba) => {
  const drive = open(options);
  truncateSync(image(), SIZE + block - 1);
  expect(drive.remeasure()).toBe(false);
  truncateSync(image(), SIZE + 3 * block + 100);
  expect(drive.remeasure()).toBe(true);
  expect(drive.geometry.sizeBytes).toBe(SIZE + 3 * lba);
  truncateSync(image(), 100);
  expect(drive.remeasure()).toBe(true);
  expect(drive.geometry.sizeBytes).toBe(0);
});

test.each(['mem:1M', 'null:1M'])('%s keeps its size', (text) => {
  drive = openDrive(parseDrive(text), host);
  expect(drive.remeasure()).toBe(false);
  expect(drive.geometry.sizeBytes).toBe(SIZE);
});

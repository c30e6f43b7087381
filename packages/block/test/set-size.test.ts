import fs, { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '@sidecard/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BlockBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, run, testHost } from './drive-under-test.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const EINVAL = 22;
const native = loadNative();
let folder: string;
let memory: DeviceMemory;
let host: ReturnType<typeof testHost>;
let drive: BlockBackend;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-size-'));
  memory = new DeviceMemory(native);
  host = testHost(native);
  writeFileSync(`${folder}/disk.img`, new Uint8Array(MIB).fill(3));
});
afterEach(async () => {
  await drive.close();
  memory.close();
  rmSync(folder, { recursive: true });
});

const image = () => `${folder}/disk.img`;
const open = (text: string): BlockBackend => {
  drive = openDrive(parseDrive(text), host);
  return drive;
};
/** The reactor, as far as it is of interest here. */
async function sized(sizeBytes: number): Promise<void> {
  let over = false;
  const setting = drive.setSize(sizeBytes).finally(() => {
    over = true;
  });
  setting.catch(() => {});
  while (!over) {
    drive.poll();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return setting;
}
async function filled(offset: number): Promise<number[]> {
  memory.memory.bytes.fill(0xff, 0, 4096);
  expect(await run(drive, 'read', offset, memory.segments(0, 4096))).toBe(0);
  return [...new Set(memory.memory.bytes.subarray(0, 4096))];
}
async function fill(offset: number, value: number): Promise<number> {
  memory.memory.bytes.fill(value, 0, 4096);
  return run(drive, 'write', offset, memory.segments(0, 4096));
}

test.each(['', ',cache=none', ',cache=writethrough', ',on-stall=error'])(
  'an image%s grows: what was there stays, what is added is zero and can be written, and takes no room',
  async (options) => {
    open(image() + options);
    const { blocks } = statSync(image());
    await sized(8 * GIB);
    expect(drive.geometry.sizeBytes).toBe(8 * GIB);
    expect(statSync(image())).toMatchObject({ size: 8 * GIB, blocks });
    expect(await filled(MIB - 4096)).toEqual([3]);
    expect(await filled(8 * GIB - 4096)).toEqual([0]);
    expect(await fill(8 * GIB - 4096, 7)).toBe(0);
    expect(await filled(8 * GIB - 4096)).toEqual([7]);
    expect(drive.remeasure()).toBe(false);
  },
);

test('an image is cut: what is gone is refused, and zero when it is grown again', async () => {
  open(image());
  await sized(MIB / 2);
  expect([drive.geometry.sizeBytes, statSync(image()).size]).toEqual([MIB / 2, MIB / 2]);
  expect(await fill(MIB / 2, 1)).toBe(EINVAL);
  await sized(MIB);
  expect(await filled(MIB / 2)).toEqual([0]);
  expect(await filled(MIB / 2 - 4096)).toEqual([3]);
});

test('a size that cannot be is refused, and nothing has changed', async () => {
  open(`${image()},lba=4096`);
  await expect(sized(2 * MIB + 512)).rejects.toMatchObject({
    kind: 'usage',
    message: `drive ${image()}: its size is a multiple of 4096 bytes`,
  });
  // Somebody has put more into it, and nobody has looked: that is not cut off.
  truncateSync(image(), 4 * MIB);
  await expect(sized(2 * MIB)).rejects.toMatchObject({
    kind: 'failure',
    message: `drive ${image()}: its file is 4 MiB large by now: measure it again first`,
  });
  expect([drive.geometry.sizeBytes, statSync(image()).size]).toEqual([MIB, 4 * MIB]);
  await drive.close();
  open(`${image()},readonly`);
  await expect(sized(8 * MIB)).rejects.toThrow('is read-only');
});

test('what the host refuses is an error with its number, and the drive is as it was', async () => {
  open(image());
  expect(await fill(0, 9)).toBe(0);
  const { ftruncate } = fs;
  const full = Object.assign(new Error('no room'), { errno: -28 });
  fs.ftruncate = ((_fd: number, _lengthBytes: number, ended: fs.NoParamCallback) => ended(full)) as never;
  syncBuiltinESMExports();
  try {
    await expect(sized(2 * MIB)).rejects.toMatchObject({
      kind: 'failure',
      errno: 28,
      message: `drive ${image()}: ENOSPC: no space left on device`,
    });
    await expect(sized(MIB / 2)).rejects.toMatchObject({ errno: 28 });
  } finally {
    fs.ftruncate = ftruncate;
    syncBuiltinESMExports();
  }
  expect([drive.geometry.sizeBytes, statSync(image()).size]).toEqual([MIB, MIB]);
  expect(await filled(0)).toEqual([9]);
});

test('while an image is being cut nobody takes its old size for a new one, and writes where it will be gone', async () => {
  open(image());
  const { ftruncate } = fs;
  let goOn = () => {};
  fs.ftruncate = ((...args: Parameters<typeof ftruncate>) => {
    goOn = () => ftruncate(...args);
  }) as never;
  syncBuiltinESMExports();
  try {
    const cut = sized(MIB / 2);
    // SIGHUP.
    expect(drive.remeasure()).toBe(false);
    expect(await fill(MIB - 4096, 1)).toBe(EINVAL);
    goOn();
    await cut;
  } finally {
    fs.ftruncate = ftruncate;
    syncBuiltinESMExports();
  }
  expect([drive.geometry.sizeBytes, statSync(image()).size]).toEqual([MIB / 2, MIB / 2]);
  truncateSync(image(), MIB);
  expect(drive.remeasure()).toBe(true);
});

test('memory grows and is cut, over windows of a GiB', async () => {
  open('mem:1536M');
  expect(await fill(0, 1)).toBe(0);
  expect(await fill(1536 * MIB - 4096, 2)).toBe(0);
  await sized(5 * GIB);
  expect(drive.description).toBe('memory, 5 GiB');
  expect(await filled(1536 * MIB - 4096)).toEqual([2]);
  expect(await filled(1536 * MIB)).toEqual([0]);
  expect(await fill(5 * GIB - 4096, 3)).toBe(0);
  await sized(GIB);
  expect(await fill(GIB, 1)).toBe(EINVAL);
  await sized(5 * GIB);
  expect(await filled(5 * GIB - 4096)).toEqual([0]);
  expect(await filled(1536 * MIB - 4096)).toEqual([0]);
  expect(await filled(0)).toEqual([1]);
  await expect(sized(2 ** 53 - 4096)).rejects.toThrow('drive memory, 5 GiB: mem: is 16T at most');
});

test('memory is resized any number of times', async () => {
  open('mem:1M');
  const maps = () => readFileSync('/proc/self/maps', 'utf8').split('sidecard drive').length;
  expect(await fill(0, 5)).toBe(0);
  const before = maps();
  for (let round = 2; round < 200; round++) {
    await sized(round * 4096);
    expect(await filled(0)).toEqual([5]);
  }
  expect(maps() - before).toBeLessThan(20);
});

test('null is as large as it is told to be', async () => {
  open('null:1M');
  await sized(4 * MIB);
  expect(await filled(4 * MIB - 4096)).toEqual([0]);
  expect(drive.description).toBe('null, 4 MiB');
});

test.each(['', ',cache=none'])(
  'a drive%s that is closed is free for others at that moment, every time',
  async (options) => {
    for (let round = 0; round < 100; round++) {
      open(image() + options);
      for (let slot = 0; slot < 16; slot++) {
        memory.memory.bytes.fill(round, 0, 4096);
        const ended = run(drive, 'write', slot * 4096, memory.segments(0, 4096));
        if (slot === 15) await ended;
      }
      await drive.close();
    }
  },
);

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '@sidecard/native';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BlockBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, run, testHost } from './drive-under-test.ts';

const SIZE = 8 * 1024 * 1024;
const EIO = 5;
const native = loadNative();
let folder: string;
let backing: string;
let memory: DeviceMemory;
const drives: BlockBackend[] = [];
const devices: string[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-loop-'));
  backing = join(folder, 'backing.img');
  memory = new DeviceMemory(native);
});
afterEach(async () => {
  for (const drive of drives.splice(0)) await drive.close().catch(() => {});
  for (const device of devices.splice(0)) losetup('--detach', device);
});
afterAll(() => {
  memory.close();
  rmSync(folder, { recursive: true });
});

function losetup(...args: string[]): string {
  return execFileSync('losetup', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

/** Loop devices want privileges, and a kernel that has them. */
function loopsToBeHad(): boolean {
  const probe = join(mkdtempSync(join(tmpdir(), 'sidecard-loop-')), 'probe');
  try {
    writeFileSync(probe, new Uint8Array(4096));
    losetup('--detach', losetup('--show', '--find', probe));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(join(probe, '..'), { recursive: true });
  }
}

function device(...options: string[]): string {
  if (!existsSync(backing) || statSync(backing).size !== SIZE) writeFileSync(backing, new Uint8Array(0));
  truncateSync(backing, SIZE);
  const path = losetup('--show', '--find', ...options, backing);
  devices.push(path);
  return path;
}

function open(text: string, host = testHost(native)): BlockBackend {
  const drive = openDrive(parseDrive(text), host);
  drives.push(drive);
  return drive;
}

function fill(seed: number): void {
  const { bytes } = memory.memory;
  for (let i = 0; i < 1024 * 1024; i++) bytes[i] = i * 7 + (i >> 8) + seed;
}

describe.skipIf(!loopsToBeHad())('a block device', () => {
  test.each([
    [512, 'writeback', 512],
    [512, 'none', 512],
    [512, 'writethrough', 4096],
    [4096, 'writeback', 4096],
    [4096, 'none', 4096],
  ] as const)('with sectors of %i bytes, cache=%s, lba=%i: keeps what is written', async (sector, cache, lba) => {
    const path = device('--sector-size', `${sector}`);
    const drive = open(`${path},cache=${cache},lba=${lba}`);
    expect(drive.geometry).toMatchObject({ sizeBytes: SIZE, readOnly: false, volatileCache: cache !== 'writethrough' });
    fill(3);
    const [from, to] = [memory.segments(0, 1024 * 1024), memory.segments(2 * 1024 * 1024, 1024 * 1024)];
    expect(await run(drive, 'write', 3 * lba, from, { fua: true })).toBe(0);
    expect(await run(drive, 'writeZeroes', 4 * lba, 5 * lba)).toBe(0);
    expect(await run(drive, 'discard', 1024 * 1024, 64 * 1024)).toBe(0);
    expect(await run(drive, 'flush')).toBe(0);
    expect(await run(drive, 'read', 3 * lba, to)).toBe(0);
    const { bytes } = memory.memory;
    const expected = bytes.slice(0, 1024 * 1024);
    expected.fill(0, lba, 6 * lba);
    // A loop device's discards are holes of its file.
    expected.fill(0, 1024 * 1024 - 3 * lba);
    expect(Buffer.compare(bytes.subarray(2 * 1024 * 1024, 3 * 1024 * 1024), expected)).toBe(0);
  });

  test('memory that O_DIRECT does not take goes through a buffer', async () => {
    const drive = open(`${device('--sector-size', '4096')},cache=none,lba=4096`);
    fill(5);
    expect(await run(drive, 'write', 4096, memory.segments(12, 4096, 9000, 8192))).toBe(0);
    expect(await run(drive, 'read', 4096, memory.segments(2 * 1024 * 1024 + 4, 12288))).toBe(0);
    const { bytes } = memory.memory;
    const written = Buffer.concat([bytes.subarray(12, 4108), bytes.subarray(9000, 17192)]);
    expect(Buffer.compare(bytes.subarray(2 * 1024 * 1024 + 4, 2 * 1024 * 1024 + 12292), written)).toBe(0);
  });

  test('discarding gives the space back', async () => {
    const drive = open(device());
    fill(1);
    for (let at = 0; at < SIZE; at += 1024 * 1024) await run(drive, 'write', at, memory.segments(0, 1024 * 1024));
    expect(await run(drive, 'flush')).toBe(0);
    const before = statSync(backing).blocks;
    expect(await run(drive, 'discard', 0, SIZE)).toBe(0);
    expect(await run(drive, 'flush')).toBe(0);
    expect(statSync(backing).blocks).toBeLessThan(before / 2);
  });

  test('blocks that are larger than the guest is shown are refused', () => {
    const path = device('--sector-size', '4096');
    expect(() => open(path)).toThrow('has blocks of 4096 bytes: use lba=4096');
  });

  test('one that is read-only is a drive only as that', async () => {
    const path = device('--read-only');
    expect(() => open(path)).toThrow(`drive ${path}: is a read-only device`);
    const drive = open(`${path},readonly`);
    expect(drive.geometry.readOnly).toBe(true);
    expect(await run(drive, 'read', 0, memory.segments(0, 4096))).toBe(0);
  });

  test('is opened for writing once', () => {
    const path = device();
    open(path);
    expect(() => open(path)).toThrow('is in use by another process');
  });

  test('one that is resized has the new size when it is measured again', async () => {
    const path = device();
    const drive = open(path);
    expect(drive.beside('.format')).toBe(null);
    truncateSync(backing, 2 * SIZE);
    losetup('--set-capacity', path);
    expect(drive.remeasure()).toBe(true);
    expect(drive.geometry.sizeBytes).toBe(2 * SIZE);
    expect(await run(drive, 'write', 2 * SIZE - 4096, memory.segments(0, 4096))).toBe(0);
    truncateSync(backing, SIZE / 2);
    losetup('--set-capacity', path);
    expect(drive.remeasure()).toBe(true);
    expect(await run(drive, 'read', SIZE / 2, memory.segments(0, 512))).toBe(22);
  });

  test('an error of the device is the error of the request', async () => {
    const host = testHost(native);
    const drive = open(device(), host);
    fill(1);
    // Blocks that the device has no file for.
    truncateSync(backing, 1024 * 1024);
    expect(await run(drive, 'read', 4 * 1024 * 1024, memory.segments(0, 4096))).toBe(EIO);
    expect(host.lines).toContainEqual({
      level: 'error',
      message: 'read failed: EIO: i/o error (said once while it lasts)',
    });
  });
});

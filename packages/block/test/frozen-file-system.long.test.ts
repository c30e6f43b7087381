import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { realClock } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BlockBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, ended, run, start, testHost } from './drive-under-test.ts';

const ETIMEDOUT = 110;
const native = loadNative();
const folder = mkdtempSync(join(tmpdir(), 'sidecard-frozen-'));
const mounted = `${folder}/mounted`;
const tool = (name: string, ...args: string[]) => execFileSync(name, args, { stdio: 'ignore' });

/** A file system of our own, which can be frozen: its writers then wait, as on a disk that does not answer. */
function mount(): boolean {
  try {
    mkdirSync(mounted);
    writeFileSync(`${folder}/fs.img`, '');
    truncateSync(`${folder}/fs.img`, 32 * 1024 * 1024);
    tool('mkfs.ext4', '-q', `${folder}/fs.img`);
    tool('mount', '-o', 'loop', `${folder}/fs.img`, mounted);
    return true;
  } catch {
    rmSync(folder, { recursive: true });
    return false;
  }
}

const there = mount();

describe.skipIf(!there)('a drive on a file system that is frozen', () => {
  let memory: DeviceMemory;
  let drive: BlockBackend;
  let frozen = false;

  const freeze = () => {
    tool('fsfreeze', '--freeze', mounted);
    frozen = true;
  };
  const thaw = () => {
    if (frozen) tool('fsfreeze', '--unfreeze', mounted);
    frozen = false;
  };
  beforeAll(() => {
    memory = new DeviceMemory(native);
  });
  afterEach(async () => {
    thaw();
    await drive.close().catch(() => {});
    rmSync(`${mounted}/disk.img`, { force: true });
  });
  afterAll(() => {
    memory.close();
    // A drive that gave up closing closes now that it can.
    tool('umount', '--lazy', mounted);
    rmSync(folder, { recursive: true });
  });

  const open = (options: string) => {
    const host = { ...testHost(native), clock: realClock };
    drive = openDrive(parseDrive(`${mounted}/disk.img,size=1M${options}`), host);
    return host;
  };

  /** A machine with much else to do is no stall. */
  const patiently = async (
    ...request: Parameters<typeof start> extends [BlockBackend, ...infer Rest] ? Rest : never
  ) => {
    for (let tries = 0; tries < 20; tries++) {
      const error = await run(drive, ...request);
      if (error !== ETIMEDOUT) return error;
    }
    return ETIMEDOUT;
  };

  test.each(['', ',cache=none'])('on-stall=error%s: fails in time, and answers again', async (options) => {
    const host = open(`,on-stall=error,after=500ms${options}`);
    const { bytes } = memory.memory;
    bytes.fill(1, 0, 4096);
    expect(await patiently('write', 0, memory.segments(0, 4096))).toBe(0);
    expect(await patiently('flush')).toBe(0);
    host.lines.length = 0;
    freeze();
    const began = performance.now();
    bytes.fill(2, 0, 4096);
    const stuck = start(drive, 'write', 0, memory.segments(0, 4096));
    expect(await ended(drive, stuck)).toEqual([ETIMEDOUT]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(499);
    // The next is not even tried.
    bytes.fill(3, 0, 4096);
    expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(ETIMEDOUT);
    expect(host.lines.map(({ message }) => message)).toEqual([
      'has not answered for 0.5 s: requests fail, and it gets nothing new before all that it has has ended',
    ]);
    thaw();
    bytes.fill(4, 0, 4096);
    expect(await patiently('write', 0, memory.segments(0, 4096))).toBe(0);
    expect(await patiently('flush')).toBe(0);
    expect(await patiently('read', 0, memory.segments(8192, 4096))).toBe(0);
    expect(bytes.subarray(8192, 12288).every((byte) => byte === 4)).toBe(true);
    expect(host.lines[1]?.message).toBe('answers again');
  });

  test('on-stall=wait: waits', async () => {
    open('');
    const { bytes } = memory.memory;
    bytes.fill(1, 0, 4096);
    freeze();
    const stuck = start(drive, 'write', 0, memory.segments(0, 4096));
    drive.commit();
    for (let turn = 0; turn < 30; turn++) {
      drive.poll();
      await sleep(10);
    }
    expect(stuck.ended).toBe(0);
    thaw();
    expect(await ended(drive, stuck)).toEqual([0]);
  });

  test('closing gives up in time, and says so', async () => {
    open(',on-stall=error,after=500ms');
    freeze();
    start(drive, 'write', 0, memory.segments(0, 4096));
    await expect(drive.close()).rejects.toThrow('has not answered for 0.5 s, what was not durable may be lost');
    thaw();
  });
});

import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeNative, loadNative } from '@sidecard/native';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BlockBackend, checkDistinct, DriveError, openDrive, openDrives, parseDrive } from '../src/index.ts';
import { DeviceMemory, run, testHost } from './drive-under-test.ts';

const native = loadNative();
let folder: string;
const opened: BlockBackend[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-open-'));
});
afterEach(async () => {
  for (const drive of opened.splice(0)) await drive.close();
  rmSync(folder, { recursive: true });
});

function open(text: string, host = testHost(native)): BlockBackend {
  const drive = openDrive(parseDrive(text), host);
  opened.push(drive);
  return drive;
}

function refusal(text: string): string {
  try {
    open(text);
  } catch (error) {
    expect(error).toBeInstanceOf(DriveError);
    expect((error as DriveError).kind).toBe('failure');
    expect((error as DriveError).message).not.toContain('\n');
    return (error as DriveError).message;
  }
  throw new Error(`${text} was opened`);
}

describe('what cannot be a drive is refused in one line', () => {
  test('a missing file', () => {
    expect(refusal(`${folder}/none.img`)).toBe(`drive ${folder}/none.img: no such file (with size= it is created)`);
    expect(refusal(`${folder}/none.img,size=1G,readonly`)).toContain('no such file');
    expect(refusal(`${folder}/no/folder/disk.img,size=1G`)).toContain('ENOENT');
  });

  test('a folder, a character device, a file that is too small or of another size', () => {
    mkdirSync(`${folder}/sub`);
    expect(refusal(`${folder}/sub`)).toContain('is a directory');
    expect(refusal('/dev/null')).toContain('is neither a file nor a block device');
    writeFileSync(`${folder}/tiny`, 'x');
    expect(refusal(`${folder}/tiny`)).toContain('is smaller than a block of 512 bytes');
    writeFileSync(`${folder}/page`, new Uint8Array(2048));
    expect(refusal(`${folder}/page,lba=4096`)).toContain('is smaller than a block of 4096 bytes');
    expect(refusal(`${folder}/page,size=1M`)).toContain('is 2 KiB large, not 1 MiB');
  });

  test('a file that does not come into being leaves nothing behind', () => {
    const fake = new FakeNative();
    const host = { ...testHost(fake) };
    fake.truncate = () => -28;
    expect(() => openDrive(parseDrive(`${folder}/none.img,size=1G`), host)).toThrow('ENOSPC');
    expect(fake.openFds).toBe(0);
  });
});

test('of several drives all are had, or none, and nothing is left of them', async () => {
  const host = testHost(native);
  writeFileSync(`${folder}/old`, new Uint8Array(4096));
  const drives = [`${folder}/new,size=1M`, `${folder}/old`, `${folder}/missing`].map(parseDrive);
  expect(() => openDrives(drives, host)).toThrow('no such file');
  expect(existsSync(`${folder}/new`)).toBe(false);
  expect(existsSync(`${folder}/old`)).toBe(true);
  // Free again.
  opened.push(...openDrives(drives.slice(0, 2), host));
  expect(opened).toHaveLength(2);
});

test('drives that a guest could not tell from each other are refused', () => {
  writeFileSync(`${folder}/old`, new Uint8Array(4096));
  symlinkSync('old', `${folder}/link`);
  const check = (...texts: string[]) => checkDistinct(texts.map(parseDrive));
  expect(() => check(`${folder}/old,readonly`, `${folder}/link,readonly`)).toThrow(`${folder}/link is given twice`);
  expect(() => check(`${folder}/new,size=1M`, `${folder}/sub/../new,size=1M`)).toThrow('is given twice');
  expect(() => check('mem:1M,serial=A', 'null:1M,serial=A')).toThrow('serial=A is given twice');
  check('mem:1M', 'mem:1M', `${folder}/old`, `${folder}/new,size=1M`);
});

test('a vast drive in memory is there at once, to its last byte', async () => {
  const drive = open('mem:2T');
  const memory = new DeviceMemory(native, 8192);
  memory.memory.bytes.fill(7, 0, 4096);
  expect(await run(drive, 'write', 2 ** 41 - 4096, memory.segments(0, 4096))).toBe(0);
  expect(await run(drive, 'writeZeroes', 2 ** 40, 2 ** 20)).toBe(0);
  expect(await run(drive, 'read', 2 ** 41 - 4096, memory.segments(4096, 4096))).toBe(0);
  expect(memory.memory.bytes[8191]).toBe(7);
  expect(() => parseDrive('mem:17T')).toThrow('16T at most');
  memory.close();
}, 2000);

test('a missing file with a size is made, sparse, and only for its owner', () => {
  const drive = open(`${folder}/new.img,size=1G`);
  expect(drive.geometry.sizeBytes).toBe(2 ** 30);
  const status = statSync(`${folder}/new.img`);
  expect(status.size).toBe(2 ** 30);
  expect(status.blocks).toBe(0);
  expect(status.mode & 0o077).toBe(0);
});

test('a host without room for a ring is one line, and the file is free again', () => {
  const poor = Object.assign(Object.create(native), native, {
    openRing: () => {
      throw new Error('EMFILE: too many open files, io_uring_setup');
    },
  });
  writeFileSync(`${folder}/disk.img`, new Uint8Array(4096));
  expect(() => open(`${folder}/disk.img`, testHost(poor))).toThrow(`drive ${folder}/disk.img: EMFILE`);
  open(`${folder}/disk.img`);
});

test('bytes after the last whole block are left alone', () => {
  writeFileSync(`${folder}/odd.img`, new Uint8Array(5000));
  const host = testHost(native);
  expect(open(`${folder}/odd.img`, host).geometry.sizeBytes).toBe(4608);
  expect(host.lines.some((line) => line.level === 'warn')).toBe(true);
});

test('a qcow2 image is used raw, with a warning', () => {
  writeFileSync(`${folder}/x.qcow2`, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(4092)]));
  const host = testHost(native);
  open(`${folder}/x.qcow2`, host);
  expect(host.lines.map((line) => line.message).join()).toContain('qcow2');
});

describe('locks', () => {
  beforeEach(() => writeFileSync(`${folder}/disk.img`, new Uint8Array(4096)));

  test('a drive that somebody writes is not opened again', async () => {
    open(`${folder}/disk.img`);
    expect(refusal(`${folder}/disk.img`)).toContain('is in use by another process');
    expect(refusal(`${folder}/disk.img,readonly`)).toContain('is in use');
    symlinkSync(`${folder}/disk.img`, `${folder}/link.img`);
    expect(refusal(`${folder}/link.img`)).toContain('is in use');
    await opened.pop()!.close();
    open(`${folder}/disk.img`);
  });

  test('drives that are only read are shared, and not written', () => {
    open(`${folder}/disk.img,readonly`);
    open(`${folder}/disk.img,readonly`);
    expect(refusal(`${folder}/disk.img`)).toContain('is in use');
  });

  /** Takes the locks as QEMU does, with Python's fcntl: open file description locks on bytes 100 and 200 onwards. */
  const qemu = (held: readonly number[]) => `
import fcntl, struct, sys, os
fd = os.open(sys.argv[1], os.O_RDWR)
for byte in ${JSON.stringify(held)}:
    fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, byte, 1, 0))
print('locked', flush=True)
sys.stdin.read()
`;
  const withQemu = async (held: readonly number[], body: () => void) => {
    const child = spawn('python3', ['-c', qemu(held), `${folder}/disk.img`], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      child.stdout.once('data', resolve);
      child.once('error', reject);
      child.once('exit', () => reject(new Error('no locks')));
    });
    body();
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.stdin.end();
    await gone;
  };

  test('QEMU writing the image keeps us out, QEMU reading it keeps our writes out', async () => {
    await withQemu([100, 101, 201, 203], () => {
      expect(refusal(`${folder}/disk.img`)).toContain('is in use');
      expect(refusal(`${folder}/disk.img,readonly`)).toContain('is in use');
    });
    await withQemu([100, 201, 203], () => {
      expect(refusal(`${folder}/disk.img`)).toContain('is in use');
      open(`${folder}/disk.img,readonly`);
    });
    // `qemu-img info -U` and the like hold nothing.
    await withQemu([100], () => void 0);
  });

  test('we hold what QEMU asks about', () => {
    open(`${folder}/disk.img`);
    const fd = native.open(`${folder}/disk.img`, 2, 0);
    const held = (byte: number) => native.testRange(fd, 1, byte, 1) === 1;
    expect([100, 101, 102, 103, 200, 201, 202, 203].filter(held)).toEqual([100, 101, 201, 203]);
    native.close(fd);
  });

  test('the fence: somebody who still has the description keeps the next one out', () => {
    const fd = native.open(`${folder}/disk.img`, 2, 0);
    expect(native.flock(fd, 2 | 4)).toBe(0);
    expect(refusal(`${folder}/disk.img`)).toContain('is in use');
    native.close(fd);
    open(`${folder}/disk.img`);
  });
});

describe('identity', () => {
  const seed = (text: string, extra = {}) => {
    const host = { ...testHost(native), ...extra };
    const drive = openDrive(parseDrive(text), host);
    const bytes = Buffer.from(drive.identitySeed).toString('hex');
    void drive.close();
    expect(bytes).toHaveLength(64);
    return bytes;
  };
  beforeEach(() => {
    for (const name of ['a.img', 'b.img']) writeFileSync(`${folder}/${name}`, new Uint8Array(4096));
  });

  test('is stable for a file by whatever name, and of one machine', () => {
    symlinkSync(`${folder}/a.img`, `${folder}/link.img`);
    expect(seed(`${folder}/a.img`)).toBe(seed(`${folder}/link.img`));
    expect(seed(`${folder}/a.img`)).not.toBe(seed(`${folder}/b.img`));
    expect(seed(`${folder}/a.img`)).not.toBe(seed(`${folder}/a.img`, { machineId: 'another' }));
  });

  test('is that of the serial number where there is one', () => {
    expect(seed(`${folder}/a.img,serial=S1`)).toBe(seed(`${folder}/b.img,serial=S1`, { machineId: 'another' }));
    expect(seed(`${folder}/a.img,serial=S1`)).not.toBe(seed(`${folder}/a.img,serial=S2`));
  });

  test('drives without a path differ from each other and between daemons', () => {
    const seeds = [seed('mem:1M'), seed('mem:1M'), seed('null:1M'), seed('mem:1M', { instance: '/run/other.sock' })];
    expect(new Set(seeds).size).toBe(4);
  });
});

test('nothing is left open', async () => {
  const count = () =>
    readFileSync('/proc/self/maps', 'utf8')
      .split('\n')
      .filter((line) => line.includes('sidecard')).length;
  const fake = new FakeNative();
  writeFileSync(`${folder}/disk.img`, new Uint8Array(4096));
  const before = count();
  for (const text of ['mem:1M', `${folder}/disk.img`, `${folder}/disk.img,cache=none`, 'null:1M']) {
    const drive = openDrive(parseDrive(text), testHost(native));
    await drive.close();
  }
  expect(count()).toBe(before);
  const drive = openDrive(parseDrive('mem:1M'), testHost(fake));
  const memory = new DeviceMemory(fake);
  expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(0);
  memory.close();
  await drive.close();
  expect([fake.openFds, fake.mappings]).toEqual([0, 0]);
});

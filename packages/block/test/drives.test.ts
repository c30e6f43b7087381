import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostBuffer, Segments } from '@sidecard/core';
import { loadNative, type Native } from '@sidecard/native';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identitySeed } from '../src/identity.ts';
import { openImage } from '../src/image-file.ts';
import { type BlockBackend, FileBackend, openDrive, parseDrive } from '../src/index.ts';
import { DeviceMemory, ended, run, start, testHost } from './drive-under-test.ts';

const native: Native = loadNative();
const SIZE = 1024 * 1024;
const EFAULT = 14;
let folder: string;
let memory: DeviceMemory;
let drive: BlockBackend;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-drive-'));
  memory = new DeviceMemory(native);
});
afterEach(async () => {
  await drive.close();
  memory.close();
  rmSync(folder, { recursive: true });
});

function threaded(text: string): BlockBackend {
  const options = parseDrive(text);
  const host = testHost(native);
  const image = openImage(options, host);
  return new FileBackend(
    { drive: options, image, identitySeed: identitySeed(options, host), forceThreads: true },
    host,
  );
}

const kinds: [string, () => BlockBackend][] = [
  ['memory', () => openDrive(parseDrive('mem:1M'), testHost(native))],
  ['file', () => openDrive(parseDrive(`${folder}/disk.img,size=1M`), testHost(native))],
  ['file, threads', () => threaded(`${folder}/disk.img,size=1M`)],
  [
    'file, writethrough',
    () => openDrive(parseDrive(`${folder}/disk.img,size=1M,cache=writethrough`), testHost(native)),
  ],
  ['file, on-stall=error', () => openDrive(parseDrive(`${folder}/disk.img,size=1M,on-stall=error`), testHost(native))],
  [
    'file, direct, on-stall=error',
    () => openDrive(parseDrive(`${folder}/disk.img,size=1M,cache=none,on-stall=error`), testHost(native)),
  ],
  ['file, direct', () => openDrive(parseDrive(`${folder}/disk.img,size=1M,cache=none`), testHost(native))],
];

describe.each(kinds)('%s', (_name, open) => {
  beforeEach(() => {
    drive = open();
  });

  test('is as large as it was made, and zero', async () => {
    expect(drive.geometry.sizeBytes).toBe(SIZE);
    expect(drive.geometry.readOnly).toBe(false);
    memory.memory.bytes.fill(7, 0, SIZE);
    expect(await run(drive, 'read', 0, memory.segments(0, SIZE))).toBe(0);
    expect(memory.memory.bytes.subarray(0, SIZE).every((byte) => byte === 0)).toBe(true);
  });

  test('keeps what is written, whatever the offsets, lengths and pieces', async () => {
    const model = new Uint8Array(SIZE);
    const piece = fc.tuple(
      fc.nat(4096),
      fc.oneof(fc.constant(512), fc.constant(4096), fc.integer({ min: 1, max: 9000 })),
    );
    const step = fc.record({
      kind: fc.constantFrom('write', 'write', 'read', 'writeZeroes', 'discard', 'flush') as fc.Arbitrary<
        'write' | 'read' | 'writeZeroes' | 'discard' | 'flush'
      >,
      offset: fc.oneof(
        fc.nat(SIZE - 1),
        fc.nat(200).map((block) => block * 4096),
      ),
      pieces: fc.array(piece, { minLength: 1, maxLength: 5 }),
      fua: fc.boolean(),
      mayDeallocate: fc.boolean(),
      seed: fc.nat(255),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        for (const { kind, offset, pieces, fua, mayDeallocate, seed } of steps) {
          // Pieces lie 64 KiB apart in the guest's memory, each at an offset of its own.
          const list = memory.segments(...pieces.flatMap(([at, length], i) => [i * 65536 + at, length]));
          const length = list.lengthBytes;
          if (offset + length > SIZE) {
            if (kind !== 'flush') expect(await run(drive, kind, offset, list)).toBe(22);
            continue;
          }
          if (kind === 'write') {
            let done = 0;
            for (let i = 0; i < list.count; i++) {
              for (let j = 0; j < list.length[i]!; j++) {
                const byte = (seed + done * 31) & 0xff;
                memory.memory.bytes[list.offset[i]! + j] = byte;
                model[offset + done++] = byte;
              }
            }
            expect(await run(drive, 'write', offset, list, { fua })).toBe(0);
          } else if (kind === 'read') {
            memory.memory.bytes.fill(0xa5, 0, 6 * 65536);
            expect(await run(drive, 'read', offset, list)).toBe(0);
            let done = 0;
            for (let i = 0; i < list.count; i++) {
              const at = list.offset[i]!;
              const found = memory.memory.bytes.subarray(at, at + list.length[i]!);
              const wanted = model.subarray(offset + done, offset + done + list.length[i]!);
              if (Buffer.compare(found, wanted) !== 0) expect.fail(`other bytes at ${offset + done}`);
              expect(memory.memory.bytes[at + list.length[i]!]).toBe(0xa5);
              done += list.length[i]!;
            }
          } else if (kind === 'flush') expect(await run(drive, 'flush')).toBe(0);
          else {
            expect(await run(drive, kind, offset, length, { fua, mayDeallocate })).toBe(0);
            if (kind === 'writeZeroes' || drive.geometry.discardReadsZeroes) model.fill(0, offset, offset + length);
          }
        }
        const all = memory.segments(1024 * 1024, SIZE);
        expect(await run(drive, 'read', 0, all)).toBe(0);
        expect(Buffer.compare(memory.memory.bytes.subarray(1024 * 1024, 1024 * 1024 + SIZE), model)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  test('many requests at once end once each', async () => {
    const requests = Array.from({ length: 400 }, (_, i) => {
      const at = (i % 200) * 4096;
      memory.memory.bytes.fill(i % 200, at, at + 4096);
      return start(drive, 'write', at, memory.segments(at, 4096));
    });
    expect(new Set(await ended(drive, ...requests))).toEqual(new Set([0]));
    expect(requests.every((request) => request.ended === 1)).toBe(true);
    expect(drive.inFlight).toBe(0);
    expect(await run(drive, 'read', 0, memory.segments(SIZE, 200 * 4096))).toBe(0);
    for (let i = 0; i < 200; i++) expect(memory.memory.bytes[SIZE + i * 4096 + 99]).toBe(i);
  });

  test('a list of more pieces than one call takes', async () => {
    const pieces: number[] = [];
    for (let i = 0; i < 500; i++) pieces.push(i * 2048, 512);
    for (let i = 0; i < 500; i++) memory.memory.bytes.fill(i & 0xff, i * 2048, i * 2048 + 512);
    expect(await run(drive, 'write', 0, memory.segments(...pieces))).toBe(0);
    expect(await run(drive, 'read', 0, memory.segments(2 * SIZE, 500 * 512))).toBe(0);
    for (let i = 0; i < 500; i++) expect(memory.memory.bytes[2 * SIZE + i * 512 + 511]).toBe(i & 0xff);
  });

  test('memory that is not there is an error, and nothing else', async () => {
    const list = memory.segments(0, 4096);
    list.handle[0] = 12345;
    expect(await run(drive, 'read', 0, list)).not.toBe(0);
    expect(await run(drive, 'read', 0, memory.segments(0, 4096))).toBe(0);
  });

  test('requests of no bytes, and beyond the end', async () => {
    expect(await run(drive, 'writeZeroes', 0, 0)).toBe(0);
    expect(await run(drive, 'writeZeroes', SIZE, 1)).toBe(22);
    expect(await run(drive, 'discard', SIZE - 1, 2)).toBe(22);
    expect(await run(drive, 'read', -1, memory.segments(0, 1))).toBe(22);
  });
});

test('discarding gives space back', async () => {
  drive = openDrive(parseDrive(`${folder}/disk.img,size=1M`), testHost(native));
  memory.memory.bytes.fill(1, 0, SIZE);
  expect(await run(drive, 'write', 0, memory.segments(0, SIZE))).toBe(0);
  expect(await run(drive, 'flush')).toBe(0);
  const before = statSync(`${folder}/disk.img`).blocks;
  expect(await run(drive, 'discard', 0, SIZE / 2)).toBe(0);
  expect(await run(drive, 'flush')).toBe(0);
  expect(statSync(`${folder}/disk.img`).blocks).toBeLessThan(before);
  expect(drive.geometry.discardReadsZeroes).toBe(true);
  expect(statSync(`${folder}/disk.img`).size).toBe(SIZE);
});

test('a read-only drive reads', async () => {
  writeFileSync(`${folder}/disk.img`, new Uint8Array(SIZE).fill(3));
  drive = openDrive(parseDrive(`${folder}/disk.img,readonly`), testHost(native));
  expect(drive.geometry).toMatchObject({ readOnly: true, volatileCache: false });
  expect(await run(drive, 'read', 0, memory.segments(0, 4096))).toBe(0);
  expect(memory.memory.bytes[100]).toBe(3);
  expect(await run(drive, 'write', 0, memory.segments(0, 4096))).toBe(30);
  expect(await run(drive, 'discard', 0, 4096)).toBe(30);
  expect(await run(drive, 'flush')).toBe(0);
});

test.each(['', ',on-stall=error'])(
  'memory whose file was cut is EFAULT, and no zeroes on the disk%s',
  async (options) => {
    writeFileSync(`${folder}/disk.img`, new Uint8Array(SIZE).fill(3));
    drive = openDrive(parseDrive(`${folder}/disk.img${options}`), testHost(native));
    const fd = native.memfd('guest memory', 8192);
    const buffer = native.map(fd, 0, 8192, true) as ArrayBuffer;
    const guest = new Segments(1);
    guest.add(new HostBuffer(buffer), native.mapping(buffer), 0, 8192);
    native.truncate(fd, 0);
    expect(await run(drive, 'write', 0, guest)).toBe(EFAULT);
    expect(await run(drive, 'read', 0, guest)).toBe(EFAULT);
    expect(await run(drive, 'read', 0, memory.segments(0, 8192))).toBe(0);
    expect(memory.memory.bytes.subarray(0, 8192).every((byte) => byte === 3)).toBe(true);
    native.unmap(buffer);
    native.close(fd);
  },
);

test('a file cut behind the drive reads as zeroes where it was', async () => {
  writeFileSync(`${folder}/disk.img`, new Uint8Array(SIZE).fill(3));
  drive = openDrive(parseDrive(`${folder}/disk.img`), testHost(native));
  writeFileSync(`${folder}/disk.img`, new Uint8Array(1000).fill(3));
  memory.memory.bytes.fill(9, 0, 4096);
  expect(await run(drive, 'read', 0, memory.segments(0, 600, 2000, 600))).toBe(0);
  expect([
    memory.memory.bytes[599],
    memory.memory.bytes[2399],
    memory.memory.bytes[2400],
    memory.memory.bytes[2599],
  ]).toEqual([3, 3, 0, 0]);
});

test('where there is no io_uring the log says so, once for all drives', async () => {
  const host = testHost(native);
  for (const name of ['one', 'two']) {
    const options = parseDrive(`${folder}/${name}.img,size=1M`);
    const image = openImage(options, host);
    const parts = { drive: options, image, identitySeed: identitySeed(options, host) };
    drive = new FileBackend({ ...parts, forceThreads: true }, host);
    if (name === 'one') await drive.close();
  }
  const lines = host.lines.filter(({ message }) => message.includes('io_uring'));
  expect(lines.map(({ level }) => level)).toEqual(['info']);
});

test('null reads zeroes and drops writes', async () => {
  drive = openDrive(parseDrive('null:1P'), testHost(native));
  memory.memory.bytes.fill(9, 0, 8192);
  expect(await run(drive, 'write', 2 ** 49, memory.segments(0, 4096))).toBe(0);
  expect(await run(drive, 'read', 2 ** 49, memory.segments(0, 100, 4096, 100))).toBe(0);
  expect([memory.memory.bytes[99], memory.memory.bytes[100], memory.memory.bytes[4195]]).toEqual([0, 9, 0]);
});

test.each(['', ',on-stall=error'])('it wakes who sleeps%s', async (options) => {
  drive = openDrive(parseDrive(`${folder}/disk.img,size=1M${options}`), testHost(native));
  for (let round = 0; round < 3; round++) {
    expect(drive.arm!()).toBe(true);
    const request = start(drive, 'write', 0, memory.segments(0, 4096));
    drive.commit();
    await new Promise<void>((resolve) => {
      const watch = native.watch(drive.wakeFd!, 'read', () => {
        watch.close();
        resolve();
      });
    });
    drive.disarm!();
    expect(drive.poll()).toBe(true);
    expect(request.ended).toBe(1);
  }
});

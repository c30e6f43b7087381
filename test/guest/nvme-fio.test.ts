/** fio writes, reads back and compares, by each of Linux's ways to do I/O: issue 10, "Must show", item 2. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

/** The character device of the namespace: commands go to the driver as they are, past the block layer. */
const character = '/dev/ng0n1';

interface Load {
  engine: 'libaio' | 'io_uring' | 'io_uring_cmd';
  pattern: string;
  /** As fio has them: 4k, or a range. */
  size: string;
  depth: number;
  /** Each on a processor of its own, which has a queue of its own. */
  jobs: number;
  /** Bytes that each job writes. */
  total: string;
  more?: string;
}

const verify = '--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0';
/**
 * Commands for the same blocks must not be under way at once, since an NVMe controller keeps no order: a trim and the write
 * after it, or two random ones, which fio lets overlap where sizes differ.
 */
const inOrder = '--serialize_overlap=1';

function fio({ engine, pattern, size, depth, jobs, total, more = '' }: Load): string {
  const through =
    engine === 'io_uring_cmd' ? `--cmd_type=nvme --filename=${character}` : `--direct=1 --filename=${disk}`;
  const sizes = size.includes('-') ? `--bsrange=${size} --blockalign=512 ${inOrder}` : `--bs=${size}`;
  const spread = `--numjobs=${jobs} --offset_increment=128M --cpus_allowed=0-3 --cpus_allowed_policy=split`;
  const load = `--rw=${pattern} ${sizes} --iodepth=${depth} --size=${total}`;
  return `fio --name=load --minimal --ioengine=${engine} ${through} ${load} ${spread} ${verify} ${more}`;
}

const small = { pattern: 'randwrite', size: '4k' } as const;
const mixed = { pattern: 'randrw', size: '512-1m' } as const;

const loads: [string, Load][] = [
  ...(['libaio', 'io_uring', 'io_uring_cmd'] as const).flatMap((engine): [string, Load][] => [
    [`${engine}: 4 KiB, one at a time`, { engine, ...small, depth: 1, jobs: 2, total: '2m' }],
    [`${engine}: 4 KiB, 32 at once on each of 4 queues`, { engine, ...small, depth: 32, jobs: 4, total: '8m' }],
    [`${engine}: 4 KiB, 128 at once on each of 4 queues`, { engine, ...small, depth: 128, jobs: 4, total: '8m' }],
  ]),
  ['libaio: 512 B to 1 MiB mixed', { engine: 'libaio', ...mixed, depth: 32, jobs: 4, total: '48m' }],
  ['io_uring: 512 B to 1 MiB mixed', { engine: 'io_uring', ...mixed, depth: 32, jobs: 4, total: '48m' }],
  // The driver takes no more than 128 pages in a command that it passes through.
  [
    'io_uring_cmd: 512 B to 512 KiB mixed',
    { engine: 'io_uring_cmd', ...mixed, size: '512-512k', depth: 32, jobs: 4, total: '24m' },
  ],
  [
    'libaio: trims between writes',
    { engine: 'libaio', pattern: 'randtrimwrite', size: '16k', depth: 32, jobs: 2, total: '16m' },
  ],
  [
    'io_uring_cmd: trims between writes',
    { engine: 'io_uring_cmd', pattern: 'randtrimwrite', size: '16k', depth: 32, jobs: 2, total: '16m', more: inOrder },
  ],
  [
    'io_uring_cmd: trims before writes',
    { engine: 'io_uring_cmd', pattern: 'trimwrite', size: '64k', depth: 8, jobs: 2, total: '32m', more: inOrder },
  ],
  [
    'io_uring_cmd: registered buffers',
    { engine: 'io_uring_cmd', ...small, depth: 32, jobs: 4, total: '8m', more: '--fixedbufs=1' },
  ],
];

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('fio verifies what it wrote, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory, cpus: 4 });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  test('there is a queue for each processor', async () => {
    expect(await guest.check('ls /sys/block/nvme0n1/mq | wc -l')).toBe('4');
  });

  test.each(loads)('%s', async (_, load) => {
    await guest.check(fio(load), { timeoutMs: 100_000 });
  });

  test('a second fio finds what the first wrote, after a reset of the controller', async () => {
    const load: Load = { engine: 'io_uring', ...small, depth: 128, jobs: 4, total: '4m' };
    const same = '--randseed=1234 --allrandrepeat=1';
    await guest.check(fio({ ...load, more: `${same} --do_verify=0` }), { timeoutMs: 100_000 });
    await guest.check('nvme reset /dev/nvme0');
    await guest.check(fio({ ...load, engine: 'libaio', more: `${same} --verify_only=1` }), { timeoutMs: 100_000 });
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

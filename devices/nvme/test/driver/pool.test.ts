import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachNamespace, createNamespace, deleteNamespace, formatNamespace } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { PoolFolder } from '../../src/namespaces/pool-folder.ts';
import { type PoolEntry, parseTable } from '../../src/namespaces/pool-table.ts';
import { Status } from '../../src/status.ts';
import { TestDrive } from '../test-drive.ts';
import { type TestPool, testPool } from '../test-pool.ts';
import { pattern, started } from './machine.ts';

const ENOSPC = 28;
const EIO = 5;
const mib = 1 << 20;

/** A machine that has nothing but the pool. */
const pooled = (pool: TestPool) => started('mapped', { drives: [], controller: { pool: pool.pool } });

const tableOf = ({ path }: TestPool): PoolEntry[] => parseTable(readFileSync(join(path, 'pool.json'), 'utf8'), path);
const images = ({ path }: TestPool) => readdirSync(path).filter((name) => name.endsWith('.img'));

describe('what a pool keeps', () => {
  test('namespaces, whether they are attached, how they are formatted, and who they are', async () => {
    const pool = testPool();
    const { driver, queue } = await pooled(pool);
    for (const nsze of [64, 128, 256]) await createNamespace(driver, { nsze });
    await deleteNamespace(driver, 2);
    await attachNamespace(driver, 1, 'attach');
    await formatNamespace(driver, 3, 1);
    await driver.write(queue, 1, 60, pattern(2048), { blockBytes: 512 });
    const before = [await driver.identify(0x11, 1), await driver.identify(0x11, 3), await driver.identify(3, 1)];
    const { subsystemName } = await driver.identifyController();

    const next = await pooled(pool.again());
    const after = [await next.driver.identify(0x11, 1), await next.driver.identify(0x11, 3)];
    expect([...after, await next.driver.identify(3, 1)]).toEqual(before);
    expect((await next.driver.identifyController()).subsystemName).toBe(subsystemName);
    expect(new DataView(after[1]!.buffer).getUint32(0, true)).toBe(32);
    expect(await next.driver.read(next.queue, 1, 60, 2048, { blockBytes: 512 })).toEqual(pattern(2048));
    // The nsid that is free is given again.
    expect((await createNamespace(next.driver, { nsze: 8 })).dw0).toBe(2);
  });

  test('its table is for people too, and its files are no others', async () => {
    const pool = testPool();
    const { driver } = await pooled(pool);
    await createNamespace(driver, { nsze: 64, flbas: 1 });
    await attachNamespace(driver, 1, 'attach');
    const { raw } = await driver.identifyNamespace(1);
    const [entry] = JSON.parse(readFileSync(join(pool.path, 'pool.json'), 'utf8')).namespaces;
    expect(entry).toMatchObject({
      nsid: 1,
      state: 'ready',
      sizeBytes: 64 * 4096,
      attached: true,
      notes: { lbaBytes: 4096 },
      nguid: Buffer.from(raw.subarray(104, 120)).toString('hex'),
      eui64: Buffer.from(raw.subarray(120, 128)).toString('hex'),
    });
    expect(readdirSync(pool.path).sort()).toEqual([entry.file, 'pool.json', 'pool.lock'].sort());
    expect(statSync(join(pool.path, entry.file)).size).toBe(64 * 4096);
  });

  test('drives come first: one more than before may be in the way', async () => {
    const pool = testPool();
    await createNamespace((await pooled(pool)).driver, { nsze: 8 });
    const next = pool.again();
    await expect(started('mapped', { controller: { pool: next.pool } })).rejects.toThrow(
      /: is namespace 1, and so is drive test drive 1 \(delete it first without the drive, or give fewer drives\)$/,
    );
  });

  test('a drive and a pool', async () => {
    const pool = testPool();
    const drives = [new TestDrive(mib)];
    const { driver } = await started('mapped', { drives, controller: { pool: pool.pool } });
    expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(2);
    const next = await started('mapped', { drives, controller: { pool: pool.again().pool } });
    expect((await next.driver.identify(0x11, 2))[0]).toBe(8);
  });

  test('a cache, whether there are namespaces or not: drivers ask once', async () => {
    for (const [options, cache] of [
      ['size=1M', true],
      ['size=1M,cache=writethrough', false],
    ] as const) {
      const { driver } = await pooled(testPool(options));
      expect((await driver.identifyController()).volatileWriteCache).toBe(cache);
    }
  });
});

describe('what the host refuses', () => {
  test('room: the file is gone, and so is the namespace', async () => {
    const pool = testPool();
    const { driver, log } = await pooled(pool);
    const drive = new TestDrive(32 * 1024);
    drive.fail = ({ operation }) => (operation === 'writeZeroes' ? ENOSPC : 0);
    pool.folder.next = drive;
    expect((await createNamespace(driver, { nsze: 64 })).status).toBe(Status.insufficientCapacity);
    expect(log.lines.at(-1)).toMatchObject({ level: 'warn', message: 'a namespace cannot be made' });
    expect(images(pool)).toEqual([]);
    expect(tableOf(pool)).toEqual([]);
    expect(drive.closed).toBe(true);
    expect((await createNamespace(driver, { nsze: 64 })).dw0).toBe(1);
  });

  test('room that the disk does not have: told before it is filled', async () => {
    const pool = testPool('size=4000T');
    const { driver, log } = await pooled(pool);
    expect((await createNamespace(driver, { nsze: 2 ** 42 })).status).toBe(Status.insufficientCapacity);
    expect(log.lines.at(-1)!.fields).toMatchObject({ error: expect.stringContaining('bytes are free') });
    expect(tableOf(pool)).toEqual([]);
    expect(pool.folder.drives.size).toBe(0);
  });

  test('an error of the disk', async () => {
    const pool = testPool();
    const { driver } = await pooled(pool);
    const drive = new TestDrive(32 * 1024);
    drive.fail = () => EIO;
    pool.folder.next = drive;
    expect((await createNamespace(driver, { nsze: 64 })).status).toBe(Status.internalError);
    expect(images(pool)).toEqual([]);
  });

  test('its folder: each command fails, and nothing has changed', async () => {
    const pool = testPool();
    const { driver, queue } = await pooled(pool);
    await createNamespace(driver, { nsze: 64 });
    await createNamespace(driver, { nsze: 64 });
    await attachNamespace(driver, 1, 'attach');
    const away = mkdtempSync(join(tmpdir(), 'nvme-pool-away-'));
    renameSync(pool.path, join(away, 'pool'));
    try {
      expect((await createNamespace(driver, { nsze: 8 })).status).toBe(Status.internalError);
      expect((await deleteNamespace(driver, 1)).status).toBe(Status.internalError);
      expect((await attachNamespace(driver, 2, 'attach')).status).toBe(Status.internalError);
      expect((await attachNamespace(driver, 1, 'detach')).status).toBe(Status.internalError);
      expect((await formatNamespace(driver, 1, 1)).status).toBe(Status.internalError);
      await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    } finally {
      renameSync(join(away, 'pool'), pool.path);
      rmSync(away, { recursive: true });
    }
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.success);
    expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(1);
    expect(tableOf(pool).map(({ nsid, attached }) => [nsid, attached])).toEqual([
      [2, false],
      [1, false],
    ]);
  });

  test('a file that stays: the namespace is gone, and the next start removes it', async () => {
    const pool = testPool('size=48K');
    const { driver, log } = await pooled(pool);
    await createNamespace(driver, { nsze: 64 });
    const { drive } = pool;
    pool.folder.remove = () => Promise.reject(new Error('stays'));
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.success);
    expect(log.lines.at(-1)!.message).toBe('the file of a deleted namespace stays until the next start');
    expect((await driver.identify(0x10, 0))[0]).toBe(0);
    expect(drive.closed).toBe(true);
    // Its room is not free yet, but its nsid is; and the next with that nsid is another.
    expect((await createNamespace(driver, { nsze: 64 })).status).toBe(Status.insufficientCapacity);
    expect((await createNamespace(driver, { nsze: 32 })).dw0).toBe(1);
    pool.folder.remove = PoolFolder.prototype.remove;
    await deleteNamespace(driver, 1);
    expect(tableOf(pool)).toMatchObject([{ state: 'deleting', sizeBytes: 64 * 512 }]);
    const next = pool.again();
    expect(images(next)).toEqual([]);
    expect((await createNamespace((await pooled(next)).driver, { nsze: 64 })).dw0).toBe(1);
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNamespace } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { parsePool } from '../src/namespaces/pool-options.ts';
import { type PoolEntry, parseTable } from '../src/namespaces/pool-table.ts';
import { started } from './machine.ts';
import { type TestPool, testPool } from './test-pool.ts';

/** A machine that has nothing but the pool. */
const pooled = (pool: TestPool) => started('mapped', { drives: [], controller: { pool: pool.pool } });

const tableOf = ({ path }: TestPool): PoolEntry[] => parseTable(readFileSync(join(path, 'pool.json'), 'utf8'), path);
const images = ({ path }: TestPool) => readdirSync(path).filter((name) => name.endsWith('.img'));

describe('what a start finds', () => {
  /** A pool with one namespace, and its table changed. */
  async function changed(change: (entry: Record<string, unknown>, pool: TestPool) => void): Promise<TestPool> {
    const pool = testPool();
    const { driver } = await pooled(pool);
    await createNamespace(driver, { nsze: 64 });
    const path = join(pool.path, 'pool.json');
    const table = JSON.parse(readFileSync(path, 'utf8'));
    change(table.namespaces[0], pool);
    writeFileSync(path, JSON.stringify(table));
    return pool;
  }

  test.each(['creating', 'deleting'])('an intent, %s: the file goes, and the namespace with it', async (state) => {
    const pool = await changed((entry) => {
      entry.state = state;
    });
    const next = pool.again();
    expect(images(next)).toEqual([]);
    const { driver } = await pooled(next);
    expect((await driver.identify(0x10, 0))[0]).toBe(0);
    expect((await createNamespace(driver, { nsze: 64 })).dw0).toBe(1);
    expect(tableOf(next)).toHaveLength(1);
  });

  test('a file that is gone', async () => {
    const pool = await changed((entry, { path }) => rmSync(join(path, entry.file as string)));
    const next = pool.again();
    await expect(pooled(next)).rejects.toThrow(/the file of a namespace is missing: namespace-[0-9a-f-]+\.img$/);
  });

  test('namespaces without a table: nothing is swept', async () => {
    const pool = await changed(() => {});
    rmSync(join(pool.path, 'pool.json'));
    expect(() => pool.again()).toThrow(/has namespaces \(namespace-.*\.img\), and no table/);
    expect(images(pool)).toHaveLength(1);
  });

  test('files that the table does not know: told, and left alone', async () => {
    const pool = await changed(() => {});
    const stranger = 'namespace-00000000-0000-4000-8000-000000000000.img';
    writeFileSync(join(pool.path, stranger), 'mine');
    const next = pool.again();
    expect(next.log.lines).toMatchObject([{ level: 'warn', fields: { file: stranger } }]);
    expect(images(next)).toContain(stranger);
  });

  test('less room than the namespaces have', async () => {
    const pool = await changed(() => {});
    expect(() => pool.again('size=16K')).toThrow('its namespaces have 32768 bytes, more than size= gives it');
    pool.again('size=32K');
  });

  test.each([
    ['nsid', 0],
    ['nsid', 5000],
    ['state', 'gone'],
    ['file', '../../etc/passwd'],
    ['file', 'namespace-1.img'],
    ['sizeBytes', 1.5],
    ['attached', 1],
    ['uuid', 'none'],
    ['notes', { lbaBytes: 7 }],
  ])('a table whose %s is %j', async (name, value) => {
    const pool = await changed((entry) => {
      entry[name] = value;
    });
    expect(() => pool.again()).toThrow(/entry 0 is not what it can be$/);
    expect(images(pool)).toHaveLength(1);
  });

  test.each([
    ['no JSON', 'is no JSON'],
    ['null', 'is not of version 1'],
    ['{"version":2}', 'is not of version 1'],
    ['{"version":1}', 'has no namespaces'],
    ['{"version":1,"namespaces":[null]}', 'nsid of entry 0'],
  ])('a table that is %s', (text, reason) => {
    const pool = testPool();
    writeFileSync(join(pool.path, 'pool.json'), text);
    expect(() => pool.again()).toThrow(`${join(pool.path, 'pool.json')}: ${reason}`);
  });
});

describe('the folder', () => {
  test('is made where there is none, one level deep, for its owner alone', () => {
    const parent = mkdtempSync(join(tmpdir(), 'nvme-pool-'));
    try {
      const path = join(parent, 'new');
      testPool.at(path).pool.close();
      expect(statSync(path).mode & 0o777).toBe(0o700);
      expect(() => testPool.at(join(parent, 'a', 'b'))).toThrow(`pool ${join(parent, 'a', 'b')}: ENOENT`);
      writeFileSync(join(parent, 'file'), '');
      expect(() => testPool.at(join(parent, 'file'))).toThrow('is no folder');
    } finally {
      rmSync(parent, { recursive: true });
    }
  });

  test('is for one daemon at a time', () => {
    const pool = testPool();
    expect(() => testPool.at(pool.path)).toThrow(`pool ${pool.path}: is in use by another process`);
    pool.pool.close();
    testPool.at(pool.path).pool.close();
  });
});

describe('--pool', () => {
  test('a folder and options', () => {
    expect(parsePool('/var/pool,size=1G')).toEqual({
      path: '/var/pool',
      sizeBytes: 2 ** 30,
      cache: 'writeback',
      sparse: false,
    });
    expect(parsePool('a,,b,size=4M,cache=none,sparse')).toMatchObject({ path: 'a,b', cache: 'none', sparse: true });
  });

  test.each([
    ['', 'no folder'],
    ['/var/pool', 'size= is needed'],
    ['/var/pool,size', 'size= is needed'],
    ['/var/pool,size=many', "'many' is no size"],
    ['/var/pool,size=0', "'0' is no size"],
    ['/var/pool,size=9000T', '9000T is more than 8 PiB'],
    ['/var/pool,size=1G,size=2G', 'size is given twice'],
    ['/var/pool,size=1G,cache=some', 'cache= is writeback or writethrough or none'],
    ['/var/pool,size=1G,cache', 'cache= is writeback or writethrough or none'],
    ['/var/pool,size=1G,sparse=yes', 'sparse has no value'],
    ['/var/pool,size=1G,readonly', "unknown option 'readonly'"],
  ])('%s is wrong', (text, reason) => {
    expect(() => parsePool(text)).toThrow(`--pool ${text}: ${reason}`);
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '@sidecard/native';
import { createNamespace, deleteNamespace, formatNamespace, RecordedLog, VirtualClock } from '@sidecard/testing';
import { afterEach, expect, test } from 'vitest';
import { Pool } from '../src/namespaces/pool.ts';
import { PoolFolder } from '../src/namespaces/pool-folder.ts';
import { parsePool } from '../src/namespaces/pool-options.ts';
import { Status } from '../src/status.ts';
import { started } from './machine.ts';

const mib = 1 << 20;
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** A folder on the disk of this machine, or on a small one that has no ranges of zeroes (tmpfs); null without the right to mount it. */
function folder(kind: 'disk' | 'tmpfs'): string | null {
  const path = mkdtempSync(join(tmpdir(), 'nvme-pool-disk-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  if (kind === 'disk') return path;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8M', 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    return null;
  }
  cleanups.push(() => execFileSync('umount', ['-l', path]));
  return path;
}

async function pooled(path: string, options: string) {
  const log = new RecordedLog();
  const parsed = parsePool(`${path},${options}`);
  const host = { native: loadNative(), log, clock: new VirtualClock() };
  const pool = new Pool(new PoolFolder(parsed, host), parsed.sizeBytes, log);
  const made = await started('mapped', { drives: [], controller: { pool } });
  return { ...made, log };
}

const files = (path: string) => readdirSync(path).filter((name) => name.endsWith('.img'));
const roomOf = (path: string) => files(path).reduce((sum, file) => sum + statSync(join(path, file)).blocks * 512, 0);

test.for(['disk', 'tmpfs'] as const)(
  'a namespace has its room when it is made, and a format keeps it: %s',
  async (kind, context) => {
    const path = folder(kind);
    if (path === null) return context.skip('no right to mount a tmpfs');
    const { driver, server } = await pooled(path, 'size=16M');
    expect((await createNamespace(driver, { nsze: (6 * mib) / 512 })).status).toBe(Status.success);
    expect(roomOf(path)).toBeGreaterThanOrEqual(6 * mib);
    expect((await formatNamespace(driver, 1, 1)).status).toBe(Status.success);
    expect(roomOf(path)).toBeGreaterThanOrEqual(6 * mib);
    if (kind === 'tmpfs') {
      // The pool has room, and the disk has not.
      expect((await createNamespace(driver, { nsze: (6 * mib) / 512 })).status).toBe(Status.insufficientCapacity);
      expect(files(path)).toHaveLength(1);
    }
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.success);
    expect(files(path)).toEqual([]);
    expect((await createNamespace(driver, { nsze: (6 * mib) / 512 })).status).toBe(Status.success);
    const closing = server.close();
    server.settle();
    await closing;
  },
);

test('sparse: room is taken when it is written', async () => {
  const path = folder('disk')!;
  const { driver, server } = await pooled(path, 'size=64M,sparse');
  expect((await createNamespace(driver, { nsze: (32 * mib) / 512 })).status).toBe(Status.success);
  expect(roomOf(path)).toBeLessThan(mib);
  const closing = server.close();
  server.settle();
  await closing;
});

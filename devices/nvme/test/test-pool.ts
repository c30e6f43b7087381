import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockBackend } from '@sidecard/block';
import { loadNative } from '@sidecard/native';
import { RecordedLog, VirtualClock } from '@sidecard/testing';
import { onTestFinished } from 'vitest';
import { Pool } from '../src/namespaces/pool.ts';
import { PoolFolder } from '../src/namespaces/pool-folder.ts';
import { type PoolOptions, parsePool } from '../src/namespaces/pool-options.ts';
import { TestDrive } from './test-drive.ts';

/** A pool's folder on the real disk, whose namespaces' blocks are in memory: what was in them outlives the pool that opened them. */
export class TestPoolFolder extends PoolFolder {
  /** By file. */
  readonly drives: Map<string, TestDrive>;
  /** Of the drives that are opened. */
  slow = false;
  /** What is opened next, where a test has something in mind with it. */
  next: TestDrive | null = null;

  constructor(options: PoolOptions, drives: Map<string, TestDrive>, log: RecordedLog) {
    super(options, { native: loadNative(), log, clock: new VirtualClock() });
    this.drives = drives;
  }

  override open(file: string, sizeBytes: number): BlockBackend {
    if (!existsSync(join(this.path, file))) return super.open(file, sizeBytes);
    const drive = this.drives.get(file) ?? this.next ?? new TestDrive(sizeBytes, { seed: this.drives.size + 100 });
    this.next = null;
    this.drives.set(file, drive);
    drive.slow = this.slow;
    return drive;
  }
}

export interface TestPool {
  readonly path: string;
  readonly log: RecordedLog;
  readonly folder: TestPoolFolder;
  readonly pool: Pool;
  /** The drive of the namespace that was made last. */
  readonly drive: TestDrive;
  /** What the next daemon has: the same folder, after this one has let it go. */
  again(options?: string): TestPool;
}

/** A pool in a folder of its own, gone after the test. `options` as after the folder of `--pool`. */
export function testPool(options = 'size=16M'): TestPool {
  const path = mkdtempSync(join(tmpdir(), 'nvme-pool-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return open(path, options, new Map());
}

/** In a folder of the test's. */
testPool.at = (path: string, options = 'size=16M') => open(path, options, new Map());

function open(path: string, options: string, drives: Map<string, TestDrive>): TestPool {
  const log = new RecordedLog();
  const parsed = parsePool(`${path},${options}`);
  const folder = new TestPoolFolder(parsed, drives, log);
  let pool: Pool;
  try {
    pool = new Pool(folder, parsed.sizeBytes, log);
  } catch (error) {
    folder.unlock();
    throw error;
  }
  return {
    path,
    log,
    folder,
    pool,
    get drive() {
      return [...drives.values()].at(-1)!;
    },
    again: (next = options) => {
      pool.close();
      return open(path, next, drives);
    },
  };
}

import { rmSync } from 'node:fs';
import {
  type BlockBackend,
  checkDistinct,
  DriveError,
  type DriveHost,
  type DriveOptions,
  openDrive,
  openDrives,
  parseDrive,
} from '@sidecard/block';
import { DriveNotes } from './drive-notes.ts';
import type { NamespaceOptions } from './namespace.ts';
import { Pool } from './pool.ts';
import { PoolFolder } from './pool-folder.ts';
import { type PoolOptions, parsePool } from './pool-options.ts';

/** What the person says that a controller's namespaces stand on. */
interface BackingOptions {
  readonly drives: readonly DriveOptions[];
  readonly pool: PoolOptions | null;
}

/** The same, opened. */
export interface Backing {
  readonly drives: readonly NamespaceOptions[];
  readonly pool: Pool | null;
}

/** Reads `--drive` and `--pool`. @throws DriveError, `usage` */
export function parseBacking(drives: readonly string[] = [], pool: string | null = null): BackingOptions {
  const options = { drives: drives.map(parseDrive), pool: pool === null ? null : parsePool(pool) };
  checkDistinct(options.drives);
  if (drives.length === 0 && pool === null) {
    throw new DriveError('usage', '--drive <drive> or --pool <pool> is needed (--help lists the options)');
  }
  return options;
}

/** Opens all of it or nothing. @throws Error, one line */
export function openBacking({ drives, pool: options }: BackingOptions, host: DriveHost): Backing {
  const pool = options === null ? null : openPool(options, host);
  try {
    const backends = openDrives(drives, host);
    return { pool, drives: backends.map((backend, index) => driveNamespace(backend, drives[index]!)) };
  } catch (error) {
    pool?.close();
    throw error;
  }
}

/** A drive that a person adds while the guest runs, opened. */
export interface OpenedDrive {
  readonly namespace: NamespaceOptions;
  /** It is not wanted after all: closed again, and gone if it was made for this. */
  discard(): void;
}

/** @throws Error, one line */
export type DriveOpener = (drive: DriveOptions) => OpenedDrive;

export function driveOpener(host: DriveHost): DriveOpener {
  return (drive) => {
    const created: string[] = [];
    const backend = openDrive(drive, { ...host, created: (path) => void created.push(path) });
    const discard = () => {
      // Nothing is in flight, so this closes at once.
      backend.close().catch(() => {});
      for (const path of created) rmSync(path, { force: true });
    };
    return { namespace: driveNamespace(backend, drive), discard };
  };
}

function openPool(options: PoolOptions, host: DriveHost): Pool {
  const folder = new PoolFolder(options, host);
  try {
    return new Pool(folder, options.sizeBytes, host.log);
  } catch (error) {
    folder.unlock();
    throw error;
  }
}

function driveNamespace(backend: BlockBackend, drive: DriveOptions): NamespaceOptions {
  const { kind, lba } = drive;
  // A block device has nothing beside it that would tell the next start of another block size.
  return { backend, drive, lbaBytes: lba, fixedFormat: kind === 'file' && !DriveNotes.last(backend) };
}

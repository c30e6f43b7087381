import { rmSync } from 'node:fs';
import {
  type BlockBackend,
  checkDistinct,
  DriveError,
  type DriveHost,
  type DriveOptions,
  fileIdentity,
  openDrive,
  openDrives,
  parseDrive,
} from '@sidecard/block';
import type { StateArena } from '@sidecard/core';
import { DriveChanges } from './drive-changes.ts';
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
  /** Namespaces 1, 2 and so on; null for one that a person has removed. */
  readonly drives: readonly (NamespaceOptions | null)[];
  /** Those that a person has added besides. */
  readonly added: readonly AddedNamespace[];
  readonly changes: DriveChanges;
  readonly pool: Pool | null;
}

/** A namespace of a drive that was added, and is attached as its row says. */
export interface AddedNamespace {
  readonly nsid: number;
  readonly options: NamespaceOptions;
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

/** Opens all of it or nothing; a successor what its predecessor had. @throws Error, one line */
export function openBacking({ drives, pool: options }: BackingOptions, host: DriveHost, state: StateArena): Backing {
  const changes = new DriveChanges(state, drives.length);
  const pool = options === null ? null : openPool(options, host);
  try {
    const wanted = drives.filter((_, index) => !changes.removed(index + 1));
    const opened = new Map<DriveOptions, BlockBackend>();
    const known = state.inherited ? wanted.map(ofAnySize) : wanted;
    for (const [index, backend] of openDrives(known, host).entries()) opened.set(wanted[index]!, backend);
    const namespaces = drives.map((drive) => {
      const backend = opened.get(drive);
      return backend === undefined ? null : driveNamespace(backend, drive);
    });
    return { pool, drives: namespaces, added: openAdded(changes, host), changes };
  } catch (error) {
    pool?.close();
    throw error;
  }
}

/** It may have another size by now than the one that it was made with. */
function ofAnySize(drive: DriveOptions): DriveOptions {
  return drive.kind === 'file' ? { ...drive, sizeBytes: null } : drive;
}

/** One that cannot be had any more is no reason to leave the guest without the others. */
function openAdded(changes: DriveChanges, host: DriveHost): AddedNamespace[] {
  return changes.added.flatMap(({ nsid, drive: text }) => {
    try {
      const drive = ofAnySize(parseDrive(text));
      return [{ nsid, options: driveNamespace(openDrive(drive, host), drive) }];
    } catch (error) {
      host.log.error({ nsid, error: error instanceof Error ? error.message : String(error) }, 'an added drive is lost');
      changes.remove(nsid);
      return [];
    }
  });
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
  const { kind, path, lba } = drive;
  // Now, while it is at hand.
  const file = kind === 'file' ? fileIdentity(path) : null;
  // A block device has nothing beside it that would tell the next start of another block size.
  return { backend, drive, file, lbaBytes: lba, fixedFormat: kind === 'file' && !DriveNotes.last(backend) };
}

import { closeSync, constants, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { open, rm, statfs, truncate } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type BlockBackend,
  DriveError,
  type DriveHost,
  type DriveOptions,
  EAGAIN,
  ENOSPC,
  identitySeed,
  openDrive,
  unlimited,
} from '@sidecard/block';
import { Flock } from '@sidecard/native';
import type { PoolOptions } from './pool-options.ts';
import { namespaceFile } from './pool-table.ts';

/** The folder of a pool: `pool.json` is its table, `pool.lock` is locked by who has it, and `namespace-*.img` are its namespaces. */
export class PoolFolder {
  /** Absolute. */
  readonly path: string;
  /** The namespaces have caches that flushes empty. */
  readonly volatileCache: boolean;
  /** New files get their room when they are made. */
  readonly reserves: boolean;
  /** From which the controller's identity derives, where it has no drive. */
  readonly identitySeed: Uint8Array;
  readonly #options: PoolOptions;
  readonly #host: DriveHost;
  readonly #lockFd: number;

  /** Makes the folder where there is none, and locks it. @throws DriveError */
  constructor(options: PoolOptions, host: DriveHost) {
    this.path = resolve(options.path);
    this.volatileCache = options.cache !== 'writethrough';
    this.reserves = !options.sparse;
    this.#options = options;
    this.#host = host;
    this.#makeFolder();
    this.#lockFd = this.#lock();
    this.identitySeed = identitySeed({ kind: 'file', path: this.path, serial: null }, host);
  }

  get tablePath(): string {
    return join(this.path, 'pool.json');
  }

  unlock(): void {
    this.#host.native.close(this.#lockFd);
  }

  /** Names of the namespaces' files. */
  files(): string[] {
    return readdirSync(this.path).filter((name) => namespaceFile.test(name));
  }

  /** Makes a file that is all hole, durable but for its entry in the folder. Rejects with ENOSPC where there is no room to be reserved for it. */
  async make(file: string, sizeBytes: number): Promise<void> {
    // Said before the disk has been filled to the brim for it, which others on it would notice.
    const { bavail, bsize } = await statfs(this.path);
    if (this.reserves && bavail * bsize < sizeBytes) {
      throw Object.assign(new Error(`${this.path}: ${bavail * bsize} bytes are free, not ${sizeBytes}`), {
        errno: ENOSPC,
      });
    }
    const handle = await open(join(this.path, file), 'wx', 0o600);
    try {
      await handle.truncate(sizeBytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** @throws DriveError */
  open(file: string, sizeBytes: number): BlockBackend {
    const options = this.drive(file, sizeBytes);
    // With a size a missing file would be made: here it is lost.
    if (statSync(options.path, { throwIfNoEntry: false }) === undefined) {
      throw new DriveError('failure', `pool ${this.path}: the file of a namespace is missing: ${file}`);
    }
    return openDrive(options, this.#host);
  }

  /** As what a file is opened. */
  drive(file: string, sizeBytes: number): DriveOptions {
    const { cache } = this.#options;
    // What is discarded in a file with room of its own keeps it.
    const discard = this.reserves ? 'ignore' : 'unmap';
    const kept = { kind: 'file', readOnly: false, serial: null, lba: null, stallMs: null, limits: unlimited } as const;
    return { ...kept, path: join(this.path, file), sizeBytes, cache, discard };
  }

  /** Removes a file, if there is one. Emptied first, so that who closes it waits for none of its data. */
  async remove(file: string): Promise<void> {
    const path = join(this.path, file);
    await truncate(path, 0).catch(() => {});
    await rm(path, { force: true });
  }

  removeSync(file: string): void {
    rmSync(join(this.path, file), { force: true });
  }

  #makeFolder(): void {
    try {
      const stats = statSync(this.path, { throwIfNoEntry: false });
      if (stats === undefined) this.#makeDurably();
      else if (!stats.isDirectory()) throw this.#failure('is no folder');
    } catch (error) {
      throw error instanceof DriveError ? error : this.#failure((error as NodeJS.ErrnoException).code ?? String(error));
    }
  }

  /** What is in a folder lasts only when the folder does. */
  #makeDurably(): void {
    mkdirSync(this.path, { mode: 0o700 });
    const parent = openSync(dirname(this.path), 'r');
    fsyncSync(parent);
    closeSync(parent);
  }

  #lock(): number {
    const { native, log } = this.#host;
    const fd = native.open(join(this.path, 'pool.lock'), constants.O_RDWR | constants.O_CREAT, 0o600);
    if (fd < 0) throw this.#failure(`cannot be written (errno ${-fd})`);
    const result = native.flock(fd, Flock.exclusive | Flock.nonBlocking);
    if (result === 0) return fd;
    if (result !== -EAGAIN) {
      log.warn({ pool: this.path }, 'the file system has no locks: nothing keeps others from this pool');
      return fd;
    }
    native.close(fd);
    throw this.#failure('is in use by another process');
  }

  #failure(reason: string): DriveError {
    return new DriveError('failure', `pool ${this.path}: ${reason}`);
  }
}

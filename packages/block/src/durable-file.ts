import { readFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoText } from './errno.ts';

/** A small text file that is replaced whole, and is the old or the new one whenever the machine stops. For one process at a time. */
export class DurableFile {
  readonly path: string;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  /** What it has, or null when there is none. @throws Error of one line where it cannot be read. */
  load(): string | null {
    try {
      return readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw this.#failure(error);
    }
  }

  /**
   * Replaces it, durably once resolved: write, fsync, rename, fsync of the folder. One after the other. Rejects with an Error of one line and the
   * old one in place; only when the last fsync fails it is the new one, that a loss of power may turn back into the old.
   */
  replace(text: string): Promise<void> {
    const next = this.#last.then(() => this.#replace(text));
    this.#last = next.catch(() => {});
    return next;
  }

  async #replace(text: string): Promise<void> {
    const temporary = `${this.path}.new`;
    let folder: FileHandle | null = null;
    try {
      // What a process that was killed has left, or a link that somebody has put there.
      await rm(temporary, { force: true });
      // Opened before anything has changed: a folder that may be written need not be one that may be opened.
      folder = await open(dirname(this.path), 'r');
      await write(temporary, text);
      await rename(temporary, this.path);
      await syncFolder(folder);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw this.#failure(error);
    } finally {
      await folder?.close();
    }
  }

  #failure(error: unknown): Error {
    const { errno } = error as { errno?: number };
    const reason = errno === undefined ? String(error) : errnoText(Math.abs(errno));
    return new Error(`${this.path}: ${reason}`, { cause: error });
  }
}

async function write(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: FileHandle): Promise<void> {
  try {
    await folder.sync();
  } catch (error) {
    // File systems whose folders cannot be synced keep their entries in order by other means.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  }
}

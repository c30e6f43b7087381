import { readFileSync } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A small text file that is replaced whole, and is the old or the new one whenever the machine stops. */
export class DurableFile {
  readonly path: string;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  /** What it has, or null when there is none. @throws Error where it cannot be read. */
  load(): string | null {
    try {
      return readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Replaces it, durably once resolved: write, fsync, rename, fsync of the folder. One after the other. Rejects with the old one in place. */
  replace(text: string): Promise<void> {
    const next = this.#last.then(() => this.#replace(text));
    this.#last = next.catch(() => {});
    return next;
  }

  async #replace(text: string): Promise<void> {
    const temporary = `${this.path}.new`;
    try {
      await synced(await open(temporary, 'w', 0o600), (file) => file.writeFile(text));
      await rename(temporary, this.path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
    await synced(await open(dirname(this.path), 'r'), async () => {});
  }
}

async function synced(file: FileHandle, write: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

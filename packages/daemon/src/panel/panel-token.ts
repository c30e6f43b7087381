import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { UsageError } from '../errors.ts';

const bytes = 18;
const form = /^[A-Za-z0-9_-]{24}$/;

/**
 * Who has it may use the panel: a port of the loopback is open to every user of the machine, and to a guest behind QEMU's user network too. It is kept in a
 * file beside the device's socket, for its owner alone, so that a page goes on after the daemon was started again.
 */
export class PanelToken {
  readonly text: string;
  readonly #file: string | null;
  readonly #digest: Buffer;

  /** The one that is kept there, or a new one. @throws UsageError when the file is somebody else's, or others may read it. */
  constructor(socketPath: string | undefined) {
    this.#file = socketPath === undefined ? null : `${socketPath}.panel-token`;
    this.text = (this.#file && kept(this.#file)) ?? randomBytes(bytes).toString('base64url');
    this.#digest = digest(this.text);
  }

  /** Writes a new one to its file. @throws what the file system says */
  keep(): void {
    if (this.#file === null || kept(this.#file) !== null) return;
    writeFileSync(this.#file, `${this.text}\n`, { mode: 0o600, flag: 'wx' });
  }

  matches(given: string): boolean {
    return timingSafeEqual(digest(given), this.#digest);
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function kept(file: string): string | null {
  let fd: number;
  try {
    // Not a link, and nothing that an open waits for.
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new UsageError(`${file} cannot be read (${code}): remove it, and there will be a new token`);
  }
  try {
    const facts = fstatSync(fd);
    const owned = facts.isFile() && facts.uid === process.geteuid!() && (facts.mode & 0o077) === 0;
    const text = owned && facts.size < 100 ? readFileSync(fd, 'utf8').trim() : '';
    if (form.test(text)) return text;
  } finally {
    closeSync(fd);
  }
  throw new UsageError(`${file} is no token, or not for its owner alone: remove it, and there will be a new one`);
}

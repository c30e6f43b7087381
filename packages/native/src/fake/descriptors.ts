import { constants } from 'node:os';

const { EBADF } = constants.errno;

/** An open file description: what dup and a sent fd share. */
export abstract class OpenFile {
  /** One of FileType. */
  abstract readonly type: number;
  flags = 2;
  /** Descriptors, and fds under way in a socket, that refer to it. */
  references = 0;

  get readable(): boolean {
    return false;
  }

  get writable(): boolean {
    return true;
  }

  /** The last reference is gone. */
  released(): void {}

  retain(): this {
    this.references++;
    return this;
  }

  release(): void {
    this.references--;
    if (this.references === 0) this.released();
  }
}

/** Fds start at 1000, so that none is mistaken for one of the process's own. */
const firstFd = 1000;

export class DescriptorTable {
  readonly #files: (OpenFile | undefined)[] = [];

  /** Open descriptors: a test that leaks none ends with the number it began with. */
  get count(): number {
    return this.#files.filter((file) => file !== undefined).length;
  }

  add(file: OpenFile): number {
    const free = this.#files.indexOf(undefined);
    const index = free < 0 ? this.#files.length : free;
    this.#files[index] = file.retain();
    return firstFd + index;
  }

  get(fd: number): OpenFile | undefined {
    return this.#files[fd - firstFd];
  }

  /** The file when it is one of this class. */
  as<T extends OpenFile>(fd: number, type: abstract new (...parameters: never[]) => T): T | undefined {
    const file = this.get(fd);
    return file instanceof type ? file : undefined;
  }

  close(fd: number): number {
    const file = this.get(fd);
    if (file === undefined) return -EBADF;
    this.#files[fd - firstFd] = undefined;
    file.release();
    return 0;
  }
}

import { ClientFile } from './client-file.ts';
import { NO_FILE } from './dma-table.ts';
import { EACCES, EINVAL } from './errno.ts';
import { FileAccess } from './file-access.ts';
import type { MemoryNative } from './memory-native.ts';

const S_IFREG = 0o100000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
// Columns of the native fdInfo.
const DEV = 0;
const INODE_LOW = 1;
const INODE_HIGH = 2;
const SIZE = 3;
const TYPE = 4;
const FLAGS = 6;
const COLUMNS = 8;
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_RDWR = 2;

/**
 * The client's memory files, each once: a client sends a new descriptor with every DMA_MAP, of a few files. They are known by
 * (st_dev, st_ino) and whether they may be written.
 */
export class ClientFiles {
  readonly #native: MemoryNative;
  readonly #byKey = new Map<string, number>();
  readonly #files: (ClientFile | null)[] = [];
  /** Without references, but still in use by requests in flight. */
  readonly #closing: ClientFile[] = [];
  readonly #info = new Float64Array(COLUMNS);
  /** For files that can't be mapped. */
  readonly access: FileAccess;

  constructor(native: MemoryNative) {
    this.#native = native;
    this.access = new FileAccess(native);
  }

  /** Null for NO_FILE. */
  get(index: number): ClientFile | null {
    return index < 0 ? null : this.#files[index]!;
  }

  /** Files open here, for tests and for `inspect`. */
  get count(): number {
    return this.#byKey.size + this.#closing.length;
  }

  get closing(): number {
    return this.#closing.length;
  }

  /**
   * Takes `fd` over for a region of `sizeBytes` at `offset`: the index of its file, NO_FILE when only messages are left, or a
   * negative errno. EINVAL: the file is shorter than the region, or is neither memory nor a file. EACCES: it is not open for
   * what the region permits.
   */
  acquire(fd: number, offset: number, sizeBytes: number, writable: boolean): number {
    const info = this.#info;
    if (this.#native.fdInfo(fd, info) < 0) return this.#refuse(fd, EINVAL);
    const access = info[FLAGS]! & O_ACCMODE;
    if (access !== O_RDWR && (access !== O_RDONLY || writable)) return this.#refuse(fd, EACCES);
    const type = info[TYPE]!;
    if (type !== S_IFREG && type !== S_IFCHR && type !== S_IFBLK) return this.#refuse(fd, EINVAL);
    // The size of a device is not known here: it is mapped as far as regions reach.
    const fileBytes = type === S_IFREG ? info[SIZE]! : offset + sizeBytes;
    if (offset + sizeBytes > fileBytes) return this.#refuse(fd, EINVAL);
    const key = `${info[DEV]}:${info[INODE_HIGH]}:${info[INODE_LOW]}:${access}`;
    const known = this.#byKey.get(key);
    const index = known ?? this.#add(new ClientFile(this.#native, key, fd, access === O_RDWR));
    if (known !== undefined) this.#native.close(fd);
    const file = this.#files[index]!;
    file.references++;
    const error = file.cover(offset, sizeBytes, fileBytes);
    if (error === 0 && (file.mappable || this.access.reads(file.fd, offset))) return index;
    this.release(index);
    return error === 0 ? NO_FILE : -error;
  }

  /** A region of the file is gone. */
  release(index: number): void {
    const file = this.#files[index]!;
    if (--file.references > 0) return;
    this.#files[index] = null;
    this.#byKey.delete(file.key);
    if (!file.release()) this.#closing.push(file);
  }

  /** Tries again to close what requests in flight held. True when something was closed. */
  closeReleased(): boolean {
    let closed = false;
    for (let i = this.#closing.length - 1; i >= 0; i--) {
      if (!this.#closing[i]!.release()) continue;
      this.#closing.splice(i, 1);
      closed = true;
    }
    return closed;
  }

  /** True when any file here was cut. */
  checkFaults(): boolean {
    let any = false;
    for (const file of this.#files) if (file?.checkFaults()) any = true;
    return any;
  }

  #add(file: ClientFile): number {
    const free = this.#files.indexOf(null);
    const index = free < 0 ? this.#files.length : free;
    this.#files[index] = file;
    this.#byKey.set(file.key, index);
    return index;
  }

  #refuse(fd: number, error: number): number {
    this.#native.close(fd);
    return -error;
  }
}

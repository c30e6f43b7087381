import { HostBuffer } from '../bits/host-buffer.ts';
import { EACCES, EBUSY } from './errno.ts';
import type { MemoryNative } from './memory-native.ts';

/**
 * Files are mapped in windows of 1 GiB. Indexes of such views are small integers: copying a 64-byte record takes 13 ns in any
 * window, 21 to 26 in one view of the whole file, at low and at high offsets alike.
 */
export const WINDOW_BYTES = 2 ** 30;

/** A part of a client's file in this process. */
export interface FileWindow {
  readonly buffer: ArrayBuffer;
  readonly memory: HostBuffer;
  readonly handle: number;
}

/** A memory file of the client: one fd and one mapping, however many regions are in it. */
export class ClientFile {
  readonly key: string;
  readonly fd: number;
  readonly writable: boolean;
  /** Rows of the DMA table that are in it, draining ones included. */
  references = 0;
  /** Windows by number; empty for files that can't be mapped. */
  readonly windows: (FileWindow | undefined)[] = [];
  mappable = true;
  /** Cut behind our back: DMA faults from then on. */
  faulted = false;
  /** Windows that a longer one has replaced, and that I/O may still use. */
  readonly #replaced: FileWindow[] = [];
  readonly #native: MemoryNative;

  constructor(native: MemoryNative, key: string, fd: number, writable: boolean) {
    this.#native = native;
    this.key = key;
    this.fd = fd;
    this.writable = writable;
  }

  /**
   * Has [offset, offset + lengthBytes) mapped. Windows end where the file ends (`sizeBytes`): past it there is nothing but SIGBUS, and
   * a mapping past the end of a hugetlbfs file would make it grow. 0 or EACCES; a file that can't be mapped is left to `pread`.
   */
  cover(offset: number, lengthBytes: number, sizeBytes: number): number {
    const last = Math.floor((offset + lengthBytes - 1) / WINDOW_BYTES);
    for (let index = Math.floor(offset / WINDOW_BYTES); index <= last && this.mappable; index++) {
      const start = index * WINDOW_BYTES;
      const needed = Math.min(offset + lengthBytes - start, WINDOW_BYTES);
      const window = this.windows[index];
      if (window !== undefined && window.memory.lengthBytes >= needed) continue;
      const mapped = this.#native.map(this.fd, start, Math.min(sizeBytes - start, WINDOW_BYTES), this.writable);
      if (mapped === -EACCES) return EACCES;
      if (typeof mapped === 'number') {
        this.mappable = false;
        break;
      }
      if (window !== undefined) this.#replaced.push(window);
      const handle = this.#native.mapping(mapped);
      this.windows[index] = { buffer: mapped, memory: new HostBuffer(mapped), handle };
    }
    return 0;
  }

  /** Looks whether a fault was in this file. */
  checkFaults(): boolean {
    for (const window of this.windows) {
      if (window !== undefined && this.#native.faulted(window.handle) > 0) this.faulted = true;
    }
    for (const window of this.#replaced) if (this.#native.faulted(window.handle) > 0) this.faulted = true;
    return this.faulted;
  }

  /** Unmaps and closes. False while a request in flight holds a window: asked again later. */
  release(): boolean {
    for (let index = this.windows.length - 1; index >= 0; index--) {
      const window = this.windows[index];
      if (window !== undefined && this.#native.unmap(window.buffer) === -EBUSY) return false;
      this.windows.length = index;
    }
    while (this.#replaced.length > 0) {
      if (this.#native.unmap(this.#replaced[this.#replaced.length - 1]!.buffer) === -EBUSY) return false;
      this.#replaced.pop();
    }
    this.#native.close(this.fd);
    return true;
  }
}

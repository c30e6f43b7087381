import { HostBuffer } from '../bits/host-buffer.ts';
import { EACCES, EBUSY } from './errno.ts';
import type { MemoryNative } from './memory-native.ts';

/**
 * Files are mapped in windows of 1 GiB. Indexes of such views are small integers: copying a 64-byte record takes 13 ns in any
 * window, 21 to 26 in one view of the whole file, at low and at high offsets alike.
 */
export const WINDOW_BYTES = 2 ** 30;

/**
 * Beyond so many a window is mapped when it is first used. V8 counts each as memory of its own and collects garbage, 2 to 5 ms: a guest of
 * terabytes would hold up the client.
 */
const EAGER_WINDOWS = 16;

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
  /** Every window mapped, also those that a longer one has replaced and that I/O may still use. */
  readonly #mapped: FileWindow[] = [];
  /** As far as is known. */
  #sizeBytes = 0;
  readonly #native: MemoryNative;

  constructor(native: MemoryNative, key: string, fd: number, writable: boolean) {
    this.#native = native;
    this.key = key;
    this.fd = fd;
    this.writable = writable;
  }

  /**
   * Has the beginning of [offset, offset + lengthBytes) mapped, and the rest while that is quick. Windows end where the file
   * ends (`sizeBytes`): past it there is nothing but SIGBUS, and a mapping past the end of a hugetlbfs file would make it grow.
   * 0 or EACCES; a file that can't be mapped is left to pread and pwrite.
   */
  cover(offset: number, lengthBytes: number, sizeBytes: number): number {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes);
    const first = Math.floor(offset / WINDOW_BYTES);
    const last = Math.floor((offset + lengthBytes - 1) / WINDOW_BYTES);
    for (let index = first; index <= last && this.mappable; index++) {
      const needed = Math.min(offset + lengthBytes - index * WINDOW_BYTES, WINDOW_BYTES);
      const window = this.windows[index];
      if (window === undefined && index > first && this.#mapped.length >= EAGER_WINDOWS) break;
      if (window !== undefined && window.memory.lengthBytes >= needed) continue;
      const error = this.#map(index);
      if (error === EACCES) return EACCES;
      if (error !== 0) this.mappable = false;
    }
    return 0;
  }

  /** A window that is used for the first time; undefined where it can't be mapped, and pread and pwrite have to do. */
  window(index: number): FileWindow | undefined {
    if (this.windows[index] === undefined) this.#map(index);
    return this.windows[index];
  }

  #map(index: number): number {
    const start = index * WINDOW_BYTES;
    const lengthBytes = Math.min(this.#sizeBytes - start, WINDOW_BYTES);
    const mapped = this.#native.map(this.fd, start, lengthBytes, this.writable);
    if (typeof mapped === 'number') return -mapped;
    const window = { buffer: mapped, memory: new HostBuffer(mapped), handle: this.#native.mapping(mapped) };
    this.windows[index] = window;
    this.#mapped.push(window);
    return 0;
  }

  /** Looks whether a fault was in this file. */
  checkFaults(): boolean {
    for (const window of this.#mapped) if (this.#native.faulted(window.handle) > 0) this.faulted = true;
    return this.faulted;
  }

  /** Unmaps and closes. False while a request in flight holds a window: asked again later. */
  release(): boolean {
    this.windows.length = 0;
    while (this.#mapped.length > 0) {
      if (this.#native.unmap(this.#mapped[this.#mapped.length - 1]!.buffer) === -EBUSY) return false;
      this.#mapped.pop();
    }
    this.#native.close(this.fd);
    return true;
  }
}

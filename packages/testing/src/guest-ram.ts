import { HostBuffer } from '@sidecard/core';
import { type Native, systemError } from '@sidecard/native';
import { PageAllocator } from './page-allocator.ts';

/** Guest memory as a driver uses it, wherever it is: here, or in a machine that answers for it. */
export interface Ram {
  /** Guest address of the first byte that drivers may have, and how many there are from there on. */
  readonly iova: number;
  readonly sizeBytes: number;
  /** Whole pages of zeroes for `sizeBytes`; their guest address. @throws RangeError when there is no room. */
  allocate(sizeBytes: number, alignmentBytes?: number): number;
  free(iova: number): void;
  load(iova: number, lengthBytes: number): Uint8Array;
  store(iova: number, bytes: Uint8Array): void;
  /** A 32-bit word, as another processor would see it. */
  word(iova: number): number;
  setWord(iova: number, value: number): void;
}

export interface GuestRamOptions {
  /** Guest address of the first byte; 0x1_0000_0000 unless given, so that 64-bit addresses are met early. */
  readonly iova?: number;
  /** A multiple of 4096; 16 MiB unless given. */
  readonly sizeBytes?: number;
  /** Where the memory begins in its file, bytes; other than 0 with share only. */
  readonly fileOffset?: number;
}

/** A block of guest memory: a memory file that can be shared with a device, or memory of this process alone. */
export class GuestRam implements Ram {
  readonly iova: number;
  readonly sizeBytes: number;
  /** The memory file; -1: a device reaches this memory by messages. */
  readonly fd: number;
  readonly fileOffset: number;
  readonly buffer: HostBuffer;
  readonly #pages: PageAllocator;
  readonly #native: Native | null;

  private constructor(buffer: HostBuffer, iova: number, fd: number, fileOffset: number, native: Native | null) {
    this.iova = iova;
    this.sizeBytes = buffer.lengthBytes;
    this.fd = fd;
    this.fileOffset = fileOffset;
    this.buffer = buffer;
    this.#pages = new PageAllocator(iova, buffer.lengthBytes);
    this.#native = native;
  }

  /** Memory of this process alone. */
  static private(options: GuestRamOptions = {}): GuestRam {
    const buffer = HostBuffer.alloc(options.sizeBytes ?? 16 * 1024 * 1024);
    return new GuestRam(buffer, options.iova ?? 0x1_0000_0000, -1, 0, null);
  }

  /** A memory file, mapped here. */
  static shared(native: Native, options: GuestRamOptions = {}): GuestRam {
    const sizeBytes = options.sizeBytes ?? 16 * 1024 * 1024;
    const fileOffset = options.fileOffset ?? 0;
    const fd = native.memfd('guest-ram', fileOffset + sizeBytes);
    // The whole file: the native twin in memory maps nothing else.
    const mapped = native.map(fd, 0, fileOffset + sizeBytes, true);
    if (typeof mapped === 'number') throw systemError(mapped, 'mmap');
    const buffer = new HostBuffer(mapped, fileOffset, sizeBytes);
    return new GuestRam(buffer, options.iova ?? 0x1_0000_0000, fd, fileOffset, native);
  }

  get shared(): boolean {
    return this.fd >= 0;
  }

  contains(iova: number, lengthBytes: number): boolean {
    return iova >= this.iova && lengthBytes >= 0 && iova + lengthBytes <= this.iova + this.sizeBytes;
  }

  allocate(sizeBytes: number, alignmentBytes?: number): number {
    const iova = this.#pages.allocate(sizeBytes, alignmentBytes);
    const at = iova - this.iova;
    this.buffer.bytes.fill(0, at, at + Math.ceil(sizeBytes / 4096) * 4096);
    return iova;
  }

  free(iova: number): void {
    this.#pages.free(iova);
  }

  load(iova: number, lengthBytes: number): Uint8Array {
    const at = this.#offset(iova, lengthBytes);
    return this.buffer.bytes.slice(at, at + lengthBytes);
  }

  store(iova: number, bytes: Uint8Array): void {
    this.buffer.bytes.set(bytes, this.#offset(iova, bytes.length));
  }

  word(iova: number): number {
    return Atomics.load(this.buffer.words, this.#offset(iova, 4) / 4) >>> 0;
  }

  setWord(iova: number, value: number): void {
    Atomics.store(this.buffer.words, this.#offset(iova, 4) / 4, value | 0);
  }

  /** Ends the mapping and the memory file. */
  close(): void {
    if (this.#native === null) return;
    this.#native.unmap(this.buffer.buffer);
    this.#native.close(this.fd);
  }

  #offset(iova: number, lengthBytes: number): number {
    if (!this.contains(iova, lengthBytes)) throw new RangeError(`no guest memory at 0x${iova.toString(16)}`);
    return iova - this.iova;
  }
}

import { HostBuffer } from '../bits/host-buffer.ts';
import { copyBytes } from './copy.ts';
import type { MemoryNative } from './memory-native.ts';

const BOUNCE_BYTES = 64 * 1024;

/** Guest memory in files that can't be mapped, by pread and pwrite through a buffer that the native side knows. */
export class FileAccess {
  readonly #native: MemoryNative;
  #buffer: HostBuffer | null = null;
  #handle = -1;

  constructor(native: MemoryNative) {
    this.#native = native;
  }

  /** Whether the file can be read at all at `offset`. */
  reads(fd: number, offset: number): boolean {
    this.#open();
    return this.#native.pread(fd, this.#handle, 0, 1, offset) >= 0;
  }

  /** False when not all of it could be read: EIO, or the file was cut. */
  load(fd: number, offset: number, target: HostBuffer, targetOffset: number, lengthBytes: number): boolean {
    const buffer = this.#open();
    for (let done = 0; done < lengthBytes; ) {
      const count = this.#native.pread(fd, this.#handle, 0, Math.min(lengthBytes - done, BOUNCE_BYTES), offset + done);
      if (count <= 0) return false;
      copyBytes(buffer, 0, target, targetOffset + done, count);
      done += count;
    }
    return true;
  }

  store(fd: number, offset: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): boolean {
    const buffer = this.#open();
    for (let done = 0; done < lengthBytes; ) {
      const wanted = Math.min(lengthBytes - done, BOUNCE_BYTES);
      copyBytes(source, sourceOffset + done, buffer, 0, wanted);
      const count = this.#native.pwrite(fd, this.#handle, 0, wanted, offset + done);
      if (count <= 0) return false;
      done += count;
    }
    return true;
  }

  #open(): HostBuffer {
    if (this.#buffer === null) {
      this.#buffer = HostBuffer.alloc(BOUNCE_BYTES);
      this.#handle = this.#native.pin(this.#buffer.buffer);
    }
    return this.#buffer;
  }
}

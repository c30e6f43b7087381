import type { Native } from '@sidecard/native';

/** Buffers for data that does not go to or from the guest's memory at once: aligned to a page, known to the native side. */
export class BounceBuffers {
  readonly sizeBytes: number;
  readonly handle: number;
  readonly memory: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly #native: Native;
  readonly #fd: number;
  readonly #free: number[] = [];

  constructor(native: Native, count: number, sizeBytes: number) {
    this.#native = native;
    this.sizeBytes = sizeBytes;
    this.#fd = native.memfd('sidecard bounce buffers', count * sizeBytes);
    const memory = native.map(this.#fd, 0, count * sizeBytes, true);
    if (typeof memory === 'number') throw new Error('no memory for the buffers of a drive');
    this.memory = memory;
    this.handle = native.mapping(memory);
    this.bytes = new Uint8Array(memory);
    for (let i = count - 1; i >= 0; i--) this.#free.push(i * sizeBytes);
  }

  get free(): number {
    return this.#free.length;
  }

  /** Offset of a buffer in the mapping, or -1 when all are in use. */
  take(): number {
    return this.#free.pop() ?? -1;
  }

  give(offset: number): void {
    this.#free.push(offset);
  }

  close(): void {
    this.#native.unmap(this.memory);
    this.#native.close(this.#fd);
  }
}

import type { Native } from '@sidecard/native';

const BUFFER_BYTES = 128 * 1024;
const BUFFERS = 16;

/** Buffers for accesses that O_DIRECT does not take as they are: aligned to a page, known to the native side. */
export class BounceBuffers {
  readonly sizeBytes = BUFFER_BYTES;
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly #native: Native;
  readonly #fd: number;
  readonly #memory: ArrayBuffer;
  readonly #free: number[] = [];

  constructor(native: Native) {
    this.#native = native;
    this.#fd = native.memfd('sidecard bounce buffers', BUFFERS * BUFFER_BYTES);
    const memory = native.map(this.#fd, 0, BUFFERS * BUFFER_BYTES, true);
    if (typeof memory === 'number') throw new Error('no memory for the buffers that cache=none needs');
    this.#memory = memory;
    this.handle = native.mapping(memory);
    this.bytes = new Uint8Array(memory);
    for (let i = BUFFERS - 1; i >= 0; i--) this.#free.push(i * BUFFER_BYTES);
  }

  /** Offset of a buffer in the mapping, or -1 when all are in use. */
  take(): number {
    return this.#free.pop() ?? -1;
  }

  give(offset: number): void {
    this.#free.push(offset);
  }

  close(): void {
    this.#native.unmap(this.#memory);
    this.#native.close(this.#fd);
  }
}

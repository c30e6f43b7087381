import { FakeNative, loadNative, type Native } from '@sidecard/native';
import { HostBuffer } from '../../src/bits/host-buffer.ts';
import { ClientMemory, type ClientMemoryOptions } from '../../src/memory/client-memory.ts';
import { DmaTask } from '../../src/memory/guest-memory.ts';

export const PAGE = 4096;

/** The same tests with a kernel and without. */
export const natives: readonly [string, () => Native][] = [
  ['fake', () => new FakeNative()],
  ['kernel', () => loadNative()],
];

/** A client with one memory file, and the device's side of its memory. */
export class Guest {
  readonly native: Native;
  readonly memory: ClientMemory;
  readonly fd: number;
  readonly ram: HostBuffer;
  readonly #buffer: ArrayBuffer;

  constructor(native: Native, sizeBytes = 64 * PAGE, options: Partial<ClientMemoryOptions> = {}) {
    this.native = native;
    this.fd = native.memfd('guest', sizeBytes);
    this.#buffer = native.map(this.fd, 0, sizeBytes, true) as ArrayBuffer;
    this.ram = new HostBuffer(this.#buffer);
    this.memory = new ClientMemory({ native, ...options });
    this.memory.busMaster = true;
  }

  /** Maps a part of the file, with a descriptor of its own as a client's message has it. */
  map(iova: number, sizeBytes: number, offset: number, access = 'rw', fd = this.native.dup(this.fd)): number {
    return this.memory.map({
      iova,
      sizeBytes,
      fd,
      offset,
      readable: access.includes('r'),
      writable: access.includes('w'),
    });
  }

  /** A region without a descriptor. */
  mapMessages(iova: number, sizeBytes: number, access = 'rw'): number {
    return this.map(iova, sizeBytes, 0, access, -1);
  }

  close(): void {
    this.memory.disconnect();
    this.native.unmap(this.#buffer);
    this.native.close(this.fd);
  }
}

/** A task that runs one step again until it has ended, and keeps what the step answered. */
export class Step extends DmaTask {
  result: string = 'none';
  resumed = 0;
  readonly #step: (task: DmaTask) => string;

  constructor(step: (task: DmaTask) => string) {
    super();
    this.#step = step;
  }

  static run(step: (task: DmaTask) => string): Step {
    const task = new Step(step);
    task.result = step(task);
    return task;
  }

  resume(): void {
    this.resumed++;
    this.result = this.#step(this);
  }
}

export function bytesOf(...bytes: number[]): HostBuffer {
  const buffer = HostBuffer.alloc(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

/** Bytes that differ from their neighbours and from those a page away. */
export function pattern(lengthBytes: number, seed = 1): HostBuffer {
  const buffer = HostBuffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) buffer.bytes[i] = (i * 7 + (i >> 8) * 13 + seed) & 0xff;
  return buffer;
}

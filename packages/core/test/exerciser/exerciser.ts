import {
  type Bar,
  DmaTask,
  type Host,
  HostBuffer,
  type InterruptPin,
  type MappableMemory,
  type PciDevice,
  type PciIdentity,
  type RegisterFile,
  type ResetKind,
  type ScatterList,
} from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { DMA_BUFFER_BYTES, ExerciserRegisters } from './registers.ts';

export const EXERCISER_VENDOR = 0x1234;
export const EXERCISER_DEVICE = 0x5ca1;

/**
 * A device with one of everything that the protocol can carry, for tests of the framework: registers, DMA on demand, I/O that stays
 * in flight as long as a test likes, every kind of interrupt and BAR, and pages to map.
 */
export class Exerciser implements PciDevice {
  readonly identity: PciIdentity;
  readonly registers: RegisterFile<typeof ExerciserRegisters.declaration>;
  readonly bars: { readonly [index: number]: Bar };
  readonly #host: Host;
  readonly #pinned: ScatterList;
  readonly #transfer: Transfer;
  readonly #startDma = () => this.#transfer.start(this.registers.dmaIova, this.registers.dmaLength);

  constructor(host: Host, native: Native, pin: InterruptPin = 'A') {
    this.#host = host;
    this.identity = {
      vendor: EXERCISER_VENDOR,
      device: EXERCISER_DEVICE,
      classCode: 0xff0000,
      interrupts: {
        intx: pin,
        msi: 4,
        msix: { vectors: 32, table: { bar: 0, offset: 0x2000 }, pba: { bar: 0, offset: 0x3000 } },
      },
      express: true,
      powerManagement: true,
    };
    this.#pinned = host.memory.scatterList(64);
    this.registers = ExerciserRegisters.create(host.state.registers('exerciser', ExerciserRegisters), {
      reads: { read: () => void this.registers.reads++ },
      dmaStart: { write: (direction) => this.#dma(direction) },
      signal: { write: (vector) => this.#signal(vector) },
      withdraw: { write: (vector) => host.interrupt.withdraw(vector) },
      level: { write: () => host.interrupt.update() },
      pin: { write: (now, was) => this.#pin(now, was) },
      fail: { write: () => host.fail('a guest asked for it') },
    });
    this.#transfer = new Transfer(host, this.registers);
    this.bars = exerciserBars(native, this.registers, this.#transfer.buffer);
  }

  get inFlight(): number {
    return this.registers.inFlight + (this.registers.dmaStatus === 1 ? 1 : 0);
  }

  interruptLevel(): boolean {
    return this.registers.level !== 0;
  }

  reset(kind: ResetKind): void {
    if (this.registers.pin !== 0) this.#pinned.release();
    this.registers.pin = 0;
    const { registers } = this;
    if (kind === 'disconnect') {
      // Nobody is left to end the requests in flight.
      registers.inFlight = 0;
      return;
    }
    const kept = { resets: registers.resets + 1, inFlight: registers.inFlight, failures: registers.failures };
    registers.reset();
    Object.assign(registers, kept);
  }

  failed(): void {
    this.registers.failures++;
  }

  /** By itself, without an access of the guest's: the level of its pin. */
  setLevel(level: number): void {
    this.registers.level = level;
    this.#host.interrupt.update();
  }

  /** By itself: a message, of whatever vector. */
  sendMessage(vector: number): void {
    this.#host.interrupt.signal(vector);
  }

  #dma(direction: number): void {
    const { registers } = this;
    if (registers.dmaStatus === 1 || registers.dmaLength > DMA_BUFFER_BYTES) return;
    registers.dmaStatus = 1;
    this.#transfer.toGuest = direction === 2;
    this.#host.defer(this.#startDma);
  }

  #signal(vector: number): void {
    const { interrupt } = this.#host;
    if ((interrupt.mode === 'msi' || interrupt.mode === 'msix') && vector < interrupt.vectors) interrupt.signal(vector);
  }

  #pin(now: number, was: number): void {
    const { registers } = this;
    if (was !== 0) this.#pinned.release();
    registers.pinStatus = 0;
    if (now === 0) return;
    this.#pinned.begin('toDevice');
    if (registers.dmaLength > DMA_BUFFER_BYTES || !this.#pinned.add(registers.dmaIova, registers.dmaLength)) {
      registers.pinStatus = 2;
    }
  }
}

/** One access to guest memory, entered again when it was pending. */
class Transfer extends DmaTask {
  readonly buffer = HostBuffer.alloc(DMA_BUFFER_BYTES);
  toGuest = false;
  readonly #host: Host;
  readonly #registers: RegisterFile<typeof ExerciserRegisters.declaration>;
  #iova = 0;
  #length = 0;

  constructor(host: Host, registers: RegisterFile<typeof ExerciserRegisters.declaration>) {
    super();
    this.#host = host;
    this.#registers = registers;
  }

  start(iova: number, lengthBytes: number): void {
    this.#iova = iova;
    this.#length = lengthBytes;
    this.resume();
  }

  override resume(): void {
    const { memory } = this.#host;
    const result = this.toGuest
      ? memory.store(this, this.#iova, this.buffer, 0, this.#length)
      : memory.load(this, this.#iova, this.buffer, 0, this.#length);
    if (result !== 'pending') this.#registers.dmaStatus = result === 'done' ? 2 : 3;
  }
}

function exerciserBars(native: Native, registers: Exerciser['registers'], dma: HostBuffer): { [index: number]: Bar } {
  const pages = mappable(native, 0x2000);
  const whole = mappable(native, 0x1000);
  const scratch = HostBuffer.alloc(0x10000);
  return {
    0: { kind: 'memory64', sizeBytes: 0x4000, windows: [{ offset: 0, sizeBytes: 0x1000, registers }] },
    2: {
      kind: 'memory32',
      sizeBytes: 0x4000,
      windows: [{ offset: 0x1000, sizeBytes: 0x2000, memory: { ...pages, fdOffset: 0 } }],
    },
    3: { kind: 'memory32', sizeBytes: 0x1000, windows: [{ offset: 0, sizeBytes: 0x1000, memory: whole }] },
    4: { kind: 'io', sizeBytes: 0x100, windows: [{ offset: 0, sizeBytes: 0x100, registers: plainMemory(scratch) }] },
    5: {
      kind: 'memory32',
      sizeBytes: 0x10000,
      windows: [{ offset: 0, sizeBytes: 0x10000, registers: plainMemory(dma) }],
    },
  };
}

function mappable(native: Native, sizeBytes: number): MappableMemory {
  const fd = native.memfd('exerciser-pages', sizeBytes);
  const buffer = native.map(fd, 0, sizeBytes, true);
  if (typeof buffer === 'number') throw new Error(`no memory to map: errno ${-buffer}`);
  return { fd, fdOffset: 0, memory: new HostBuffer(buffer) };
}

function plainMemory({ bytes, lengthBytes }: HostBuffer) {
  return {
    sizeBytes: lengthBytes,
    read: (offset: number, target: Uint8Array, at: number, length: number) =>
      target.set(bytes.subarray(offset, offset + length), at),
    write: (offset: number, source: Uint8Array, at: number, length: number) =>
      bytes.set(source.subarray(at, at + length), offset),
  };
}

import type { Accessible } from '@sidecard/core';
import { CapabilityId, readCapabilities } from '../pci/capabilities.ts';
import type { InterruptLine, InterruptMode, PciPort } from '../pci/port.ts';
import type { QtestConnection } from './qtest-connection.ts';
import { hex, type QtestRam } from './qtest-ram.ts';

const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
/** What a vector of MSI or MSI-X writes when it arrives. */
const SIGNALLED = 0x51de;
/** Bytes of memory that each vector has for itself. */
const VECTOR_BYTES = 4;

/** Widths of accesses, by their length in bytes: the letter of qtest's commands. */
const widths: { readonly [lengthBytes: number]: string } = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' };

/** A function on bus 0 of a machine in QEMU: config cycles, BARs at their addresses, and vectors that write guest memory. */
export class QtestPort implements PciPort {
  readonly ram: QtestRam;
  readonly slot: number;
  /** 0 to 7 in its slot. */
  readonly functionNumber: number;
  readonly #connection: QtestConnection;
  /** Of memory-mapped config space (PCIEXBAR), for what is beyond 256 bytes. */
  readonly #ecam: number;
  readonly #memoryBars = new Map<number, number>();
  #messages: number | null = null;

  constructor(connection: QtestConnection, ram: QtestRam, slot: number, ecam: number, functionNumber = 0) {
    this.#connection = connection;
    this.ram = ram;
    this.slot = slot;
    this.functionNumber = functionNumber;
    this.#ecam = ecam;
  }

  readConfig(offset: number, lengthBytes: number): number {
    const width = widths[lengthBytes]!;
    if (offset >= 256) return this.#connection.number(`read${width} ${hex(this.#ecamAddress(offset))}`);
    this.#select(offset);
    return this.#connection.number(`in${width} ${hex(CONFIG_DATA + (offset & 3))}`);
  }

  writeConfig(offset: number, lengthBytes: number, value: number): void {
    const width = widths[lengthBytes]!;
    const unsigned = lengthBytes === 4 ? value >>> 0 : value;
    if (offset >= 256) {
      this.#connection.command(`write${width} ${hex(this.#ecamAddress(offset))} ${hex(unsigned)}`);
      return;
    }
    this.#select(offset);
    this.#connection.command(`out${width} ${hex(CONFIG_DATA + (offset & 3))} ${hex(unsigned)}`);
  }

  bar(index: number, address: number, sizeBytes: number, kind: 'memory' | 'io'): Accessible {
    if (kind === 'memory') this.#memoryBars.set(index, address);
    const [read, write] = kind === 'memory' ? ['read', 'write'] : ['in', 'out'];
    const widest = kind === 'memory' ? 8 : 4;
    const connection = this.#connection;
    return {
      sizeBytes,
      read: (offset, target, targetOffset, lengthBytes) => {
        for (const [at, width] of accesses(offset, lengthBytes, widest)) {
          const answer = BigInt(connection.command(`${read}${widths[width]} ${hex(address + offset + at)}`));
          for (let byte = 0; byte < width; byte++)
            target[targetOffset + at + byte] = Number((answer >> BigInt(8 * byte)) & 0xffn);
        }
      },
      write: (offset, source, sourceOffset, lengthBytes) => {
        for (const [at, width] of accesses(offset, lengthBytes, widest)) {
          let value = 0n;
          for (let byte = width - 1; byte >= 0; byte--)
            value = (value << 8n) | BigInt(source[sourceOffset + at + byte]!);
          connection.command(`${write}${widths[width]} ${hex(address + offset + at)} 0x${value.toString(16)}`);
        }
      },
    };
  }

  connectInterrupts(mode: InterruptMode, vectors: number): readonly InterruptLine[] {
    this.disconnectInterrupts();
    if (mode === 'intx') return [this.#pin()];
    const memory = this.ram.allocate(vectors * VECTOR_BYTES);
    this.#messages = memory;
    if (mode === 'msi') this.#pointMsi(memory);
    else this.#pointMsix(memory, vectors);
    return Array.from({ length: vectors }, (_, vector) => this.#message(mode, memory, vector));
  }

  disconnectInterrupts(): void {
    if (this.#messages !== null) this.ram.free(this.#messages);
    this.#messages = null;
  }

  turn(): boolean {
    return this.#connection.turn();
  }

  #select(offset: number): void {
    const address = (0x8000_0000 | (this.slot << 11) | (this.functionNumber << 8) | (offset & 0xfc)) >>> 0;
    this.#connection.command(`outl ${hex(CONFIG_ADDRESS)} ${hex(address)}`);
  }

  #ecamAddress(offset: number): number {
    return this.#ecam + (this.slot << 15) + (this.functionNumber << 12) + offset;
  }

  /** The pins of a slot of q35's root bus are PIRQ E to H, inputs 20 to 23 of the I/O APIC, from another one on in each slot. */
  #pin(): InterruptLine {
    const pin = this.readConfig(0x3d, 1);
    const input = 20 + ((this.slot + pin - 1) % 4);
    const connection = this.#connection;
    // QEMU has had the pin connected all the time; a driver that is to listen meets the level as it is.
    let seen = (connection.raised.get(input) ?? 0) - (connection.levels.get(input) ? 1 : 0);
    return {
      take: () => {
        connection.turn();
        const raised = connection.raised.get(input) ?? 0;
        const count = raised - seen;
        seen = raised;
        return count;
      },
      // QEMU's client lowers the line and asks again at the next access to a BAR.
      unmask: () => {},
    };
  }

  #message(mode: InterruptMode, memory: number, vector: number): InterruptLine {
    // MSI has one address; the vector is in the low bits of what is written, so the last one to come is all that can be told.
    const at = mode === 'msi' ? memory : memory + vector * VECTOR_BYTES;
    const signalled = mode === 'msi' ? (SIGNALLED & ~31) + vector : SIGNALLED;
    return {
      take: () => {
        if (this.ram.word(at) !== signalled) return 0;
        this.ram.setWord(at, 0);
        return 1;
      },
      unmask: () => {},
    };
  }

  /** PCI Local Bus 3.0, 6.8.1. */
  #pointMsi(address: number): void {
    const { offset } = readCapabilities(this).find(({ id }) => id === CapabilityId.msi)!;
    const wide = (this.readConfig(offset + 2, 2) & 0x80) !== 0;
    this.writeConfig(offset + 4, 4, address);
    if (wide) this.writeConfig(offset + 8, 4, 0);
    this.writeConfig(offset + (wide ? 12 : 8), 2, SIGNALLED & ~31);
  }

  /** PCI Local Bus 3.0, 6.8.2: the table is in the BAR that the capability names; its vectors are masked at first. */
  #pointMsix(memory: number, vectors: number): void {
    const { offset } = readCapabilities(this).find(({ id }) => id === CapabilityId.msix)!;
    const place = this.readConfig(offset + 4, 4);
    const bar = this.#memoryBars.get(place & 7) ?? (this.readConfig(0x10 + 4 * (place & 7), 4) & ~15) >>> 0;
    for (let vector = 0; vector < vectors; vector++) {
      const entry = bar + (place & ~7) + 16 * vector;
      const write = (at: number, value: number) => this.#connection.command(`writel ${hex(entry + at)} ${hex(value)}`);
      write(0, memory + vector * VECTOR_BYTES);
      write(4, 0);
      write(8, SIGNALLED);
      write(12, 0);
    }
  }
}

/** What a processor makes of a longer access, or of one that is not aligned: where each begins, from the first byte on, and its width. */
function* accesses(offset: number, lengthBytes: number, widest: number): Generator<[at: number, width: number]> {
  for (let at = 0; at < lengthBytes; ) {
    let width = widest;
    while (width > lengthBytes - at || (offset + at) % width !== 0) width /= 2;
    yield [at, width];
    at += width;
  }
}

import type { Accessible } from '@sidecard/core';
import type { Ram } from '../guest-ram.ts';
import type { Turning } from '../until.ts';

export type InterruptMode = 'intx' | 'msi' | 'msix';

/** Where an interrupt of the function arrives. */
export interface InterruptLine {
  /** Takes what has arrived: how often, 0 when nothing has. */
  take(): number;
  /** INTx: the driver has served it; the level is looked at again. */
  unmask(): void;
}

/**
 * One PCI function as the rest of the machine reaches it. Behind it is a vfio-user client of ours, or a whole machine
 * (QEMU under qtest: config cycles at 0xcf8, BARs at their addresses, vectors that write guest memory). Drivers stand on this alone.
 */
export interface PciPort extends Turning {
  /** Memory that the function reaches by DMA. */
  readonly ram: Ram;
  /** Little endian, of 1, 2 or 4 bytes. */
  readConfig(offset: number, lengthBytes: number): number;
  writeConfig(offset: number, lengthBytes: number, value: number): void;
  /** A BAR, once it has an address and is decoded. */
  bar(index: number, address: number, sizeBytes: number, kind: 'memory' | 'io'): Accessible;
  /** Connects the first `vectors` of a mode that the driver has just enabled in config space; replaces all lines of before. */
  connectInterrupts(mode: InterruptMode, vectors: number): readonly InterruptLine[];
  /** Lets all lines go. */
  disconnectInterrupts(): void;
}

import type { Accessible } from '@sidecard/core';
import { type PciBar, placeBar, readBars } from './bars.ts';
import { CapabilityId, type PciCapability, readCapabilities, readExtendedCapabilities } from './capabilities.ts';
import { InterruptVector } from './interrupt-vector.ts';
import type { InterruptMode, PciPort } from './port.ts';

/** Bits of the command register (PCI Local Bus 3.0, 6.2.2). */
const Command = { io: 1, memory: 2, busMaster: 4, intxDisable: 0x400 } as const;

/** Hands out bus addresses for BARs. */
export type PlaceBar = (kind: 'memory' | 'io', sizeBytes: number) => number;

/** A PCI function as a driver has it, once the bus has found it. */
export class PciFunctionHandle {
  readonly port: PciPort;
  readonly vendor: number;
  readonly device: number;
  /** Base class, sub-class and programming interface. */
  readonly classCode: number;
  readonly bars: readonly PciBar[];
  readonly capabilities: readonly PciCapability[];
  readonly extendedCapabilities: readonly PciCapability[];
  #accessible = new Map<number, Accessible>();

  /** Reads and sizes everything, gives BARs their addresses, and has them decoded. */
  constructor(port: PciPort, place: PlaceBar) {
    this.port = port;
    this.vendor = port.readConfig(0x00, 2);
    this.device = port.readConfig(0x02, 2);
    this.classCode = port.readConfig(0x08, 4) >>> 8;
    this.bars = readBars(port, place);
    this.capabilities = readCapabilities(port);
    this.extendedCapabilities = this.find(CapabilityId.express) === null ? [] : readExtendedCapabilities(port);
    this.#command((value) => value | Command.memory | Command.io);
  }

  /** Offset of a capability in config space; null when there is none. */
  find(id: number): number | null {
    return this.capabilities.find((one) => one.id === id)?.offset ?? null;
  }

  /** @throws when the function has no such BAR. */
  bar(index: number): Accessible {
    const bar = this.bars.find((one) => one.index === index);
    if (bar === undefined) throw new Error(`the function has no BAR ${index}`);
    const accessible =
      this.#accessible.get(index) ??
      this.port.bar(index, bar.address, bar.sizeBytes, bar.kind === 'io' ? 'io' : 'memory');
    this.#accessible.set(index, accessible);
    return accessible;
  }

  setBusMaster(on: boolean): void {
    this.#command((value) => (on ? value | Command.busMaster : value & ~Command.busMaster));
  }

  /** Vectors that the function has of a kind; 0 for none. */
  vectorCount(mode: InterruptMode): number {
    if (mode === 'intx') return this.port.readConfig(0x3d, 1) === 0 ? 0 : 1;
    const offset = this.find(mode === 'msi' ? CapabilityId.msi : CapabilityId.msix);
    if (offset === null) return 0;
    const control = this.port.readConfig(offset + 2, 2);
    return mode === 'msi' ? 1 << ((control >>> 1) & 7) : (control & 0x7ff) + 1;
  }

  /** Enables the first `count` vectors (a power of two for MSI), and switches the other modes off. */
  enableInterrupts(mode: InterruptMode, count = 1): InterruptVector[] {
    if (count > this.vectorCount(mode)) throw new Error(`the function has no ${count} vectors of ${mode}`);
    this.disableInterrupts();
    this.#command((value) => (mode === 'intx' ? value & ~Command.intxDisable : value | Command.intxDisable));
    const msi = this.find(CapabilityId.msi);
    if (mode === 'msi' && msi !== null) this.#control(msi, (value) => (value & ~0x70) | (Math.log2(count) << 4) | 1);
    const msix = this.find(CapabilityId.msix);
    // Masked while vectors still point where they did before; what is pending comes when all are set up.
    if (mode === 'msix' && msix !== null) this.#control(msix, (value) => value | 0xc000);
    const lines = this.port.connectInterrupts(mode, count);
    if (mode === 'msix') this.setFunctionMask(false);
    return lines.map((line, number) => new InterruptVector(number, line, this.port));
  }

  disableInterrupts(): void {
    this.port.disconnectInterrupts();
    const msi = this.find(CapabilityId.msi);
    if (msi !== null) this.#control(msi, (value) => value & ~1);
    const msix = this.find(CapabilityId.msix);
    if (msix !== null) this.#control(msix, (value) => value & ~0x8000);
  }

  /** MSI-X: masks or unmasks all vectors at once (PCI Local Bus 3.0, 6.8.2.3). */
  setFunctionMask(masked: boolean): void {
    const msix = this.find(CapabilityId.msix);
    if (msix === null) throw new Error('the function has no MSI-X');
    this.#control(msix, (value) => (masked ? value | 0x4000 : value & ~0x4000));
  }

  /**
   * Function Level Reset (PCI Express Base 3.0, 7.8.4, bit 15 of Device Control). The BARs, which lose their addresses by it (6.6.2), have them again
   * and are decoded; the rest is as after power-on, bus mastering too.
   */
  functionLevelReset(): void {
    const express = this.find(CapabilityId.express);
    if (express === null) throw new Error('the function has no PCI Express capability');
    this.port.writeConfig(express + 8, 2, this.port.readConfig(express + 8, 2) | 0x8000);
    for (const bar of this.bars) placeBar(this.port, bar);
    this.#command((value) => value | Command.memory | Command.io);
  }

  #control(offset: number, change: (value: number) => number): void {
    this.port.writeConfig(offset + 2, 2, change(this.port.readConfig(offset + 2, 2)));
  }

  #command(change: (value: number) => number): void {
    this.port.writeConfig(0x04, 2, change(this.port.readConfig(0x04, 2)));
  }
}

import type { PciPort } from './port.ts';

/** A base address register as it was found. */
export interface PciBar {
  readonly index: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  readonly prefetchable: boolean;
  readonly sizeBytes: number;
  /** On the bus. */
  readonly address: number;
}

/** Sizes the BARs by writing ones (PCI Local Bus 3.0, 6.2.5.1) and gives each an address. Nothing is decoded meanwhile. */
export function readBars(port: PciPort, place: (kind: 'memory' | 'io', sizeBytes: number) => number): PciBar[] {
  port.writeConfig(0x04, 2, port.readConfig(0x04, 2) & ~3);
  const bars: PciBar[] = [];
  for (let index = 0; index < 6; index++) {
    const at = 0x10 + index * 4;
    const low = sized(port, at);
    if (low === 0) continue;
    const io = (low & 1) !== 0;
    const wide = !io && (low & 6) === 4;
    const sizeBytes = sizeOf(low, wide ? sized(port, at + 4) : 0xffff_ffff);
    const address = place(io ? 'io' : 'memory', sizeBytes);
    const kind = io ? 'io' : wide ? 'memory64' : 'memory32';
    const bar: PciBar = { index, kind, prefetchable: !io && (low & 8) !== 0, sizeBytes, address };
    placeBar(port, bar);
    bars.push(bar);
    if (wide) index++;
  }
  return bars;
}

/** Gives a BAR its address, after a reset of the function too. */
export function placeBar(port: PciPort, { index, kind, address }: PciBar): void {
  const at = 0x10 + index * 4;
  port.writeConfig(at, 4, address % 0x1_0000_0000);
  if (kind === 'memory64') port.writeConfig(at + 4, 4, Math.floor(address / 0x1_0000_0000));
}

/** Of what reads back after ones were written: the lowest bit that could be set is the size. */
function sizeOf(low: number, high: number): number {
  const io = (low & 1) !== 0;
  // An I/O BAR may leave its upper 16 bits zero (PCI Local Bus 3.0, 6.2.5.1).
  const readBack = io ? (low | 0xffff_0000) & ~3 : low & ~15;
  const mask = (BigInt(high) << 32n) | BigInt(readBack >>> 0);
  return Number(BigInt.asUintN(64, -mask));
}

function sized(port: PciPort, at: number): number {
  port.writeConfig(at, 4, 0xffff_ffff);
  return port.readConfig(at, 4);
}

import type { PciPort } from './port.ts';

/** PCI Code and ID Assignment 1.11, chapter 2. */
export const CapabilityId = { powerManagement: 0x01, msi: 0x05, vendor: 0x09, express: 0x10, msix: 0x11 } as const;
/** Chapter 3. */
export const ExtendedCapabilityId = { advancedErrors: 0x0001, serialNumber: 0x0003 } as const;

export interface PciCapability {
  readonly id: number;
  readonly offset: number;
}

/** The list that starts at 34h (PCI Local Bus 3.0, 6.7). @throws where the list is broken. */
export function readCapabilities(port: PciPort): PciCapability[] {
  if ((port.readConfig(0x06, 2) & 0x10) === 0) return [];
  const list: PciCapability[] = [];
  for (let offset = port.readConfig(0x34, 1); offset !== 0; offset = port.readConfig(offset + 1, 1)) {
    if (offset < 0x40 || offset % 4 !== 0) throw new Error(`a capability at 0x${offset.toString(16)}`);
    if (list.length > 48) throw new Error('the list of capabilities never ends');
    list.push({ id: port.readConfig(offset, 1), offset });
  }
  return list;
}

/** The list that starts at 100h (PCI Express Base 3.0, 7.9). */
export function readExtendedCapabilities(port: PciPort): PciCapability[] {
  const list: PciCapability[] = [];
  for (let offset = 0x100; offset !== 0; ) {
    const header = port.readConfig(offset, 4);
    if (header === 0) break;
    if (list.length > 256) throw new Error('the list of extended capabilities never ends');
    list.push({ id: header & 0xffff, offset });
    offset = header >>> 20;
  }
  return list;
}

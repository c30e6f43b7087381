import { type Access, type BitFields, fragment, ro, rw, u8, u16, u32, w1c, wo } from '../bits/register.ts';

// Capabilities as relocatable fragments. Each is made for its place in the list: `next` is where the next one is, or 0.

/** Power Management (PCI Power Management 1.2, 3.2). D1, D2 and PME# are not supported; D3hot to D0 keeps all state (No_Soft_Reset). */
export const powerManagement = (next: number) =>
  fragment(8, {
    id: u8(0, ro, 0x01),
    next: u8(1, ro, next),
    capabilities: u16(2, { version: ro(2, 0, 3) }),
    control: u16(4, { powerState: rw(1, 0), noSoftReset: ro(3, 3, 1) }),
  });

/** MSI with 64-bit addresses and per-vector masking (PCI Local Bus 3.0, 6.8.1). @param vectors a power of two up to 32. */
export const messageSignalled = (next: number, vectors: number) =>
  fragment(0x18, {
    id: u8(0, ro, 0x05),
    next: u8(1, ro, next),
    control: u16(2, {
      enable: rw(0),
      multipleCapable: ro(3, 1, Math.log2(vectors)),
      multipleEnable: rw(6, 4),
      address64: ro(7, 7, 1),
      perVectorMasking: ro(8, 8, 1),
    }),
    address: u32(4, { address: rw(31, 2) }),
    addressHigh: u32(8, rw),
    data: u16(0x0c, rw),
    mask: u32(0x10, { vectors: rw(vectors - 1, 0) }),
    pending: u32(0x14, { vectors: ro(vectors - 1, 0) }),
  });

export interface TablePlace {
  readonly bar: number;
  readonly offset: number;
}

/** MSI-X (PCI Local Bus 3.0, 6.8.2). */
export const messageTable = (next: number, vectors: number, table: TablePlace, pba: TablePlace) =>
  fragment(12, {
    id: u8(0, ro, 0x11),
    next: u8(1, ro, next),
    control: u16(2, { tableSize: ro(10, 0, vectors - 1), functionMask: rw(14), enable: rw(15) }),
    table: u32(4, { bar: ro(2, 0, table.bar), offset: ro(31, 3, table.offset / 8) }),
    pba: u32(8, { bar: ro(2, 0, pba.bar), offset: ro(31, 3, pba.offset / 8) }),
  });

/**
 * PCI Express endpoint (PCI Express 4.0, 7.5.3) with Function Level Reset, and a link of 2.5 GT/s and one lane: there is no wire, and QEMU
 * overwrites it with that of its slot. On a root bus QEMU shows it as a root complex integrated endpoint.
 */
export const express = (next: number) =>
  fragment(0x3c, {
    id: u8(0, ro, 0x10),
    next: u8(1, ro, next),
    capabilities: u16(2, { version: ro(3, 0, 2), portType: ro(7, 4, 0) }),
    deviceCapabilities: u32(4, {
      maxPayload: ro(2, 0, 0),
      extendedTag: ro(5, 5, 1),
      roleBasedErrors: ro(15, 15, 1),
      functionLevelReset: ro(28, 28, 1),
    }),
    deviceControl: u16(8, {
      errorReporting: rw(3, 0),
      relaxedOrdering: rw(4, 4, 1),
      maxPayload: rw(7, 5),
      extendedTag: rw(8, 8, 1),
      noSnoop: rw(11, 11, 1),
      maxReadRequest: rw(14, 12, 2),
      functionReset: wo(15),
    }),
    deviceStatus: u16(0x0a, { errors: w1c(3, 0), transactionsPending: ro(5) }),
    linkCapabilities: u32(0x0c, { speed: ro(3, 0, 1), width: ro(9, 4, 1) }),
    linkControl: u16(0x10, { aspm: rw(1, 0), readCompletionBoundary: rw(3), commonClock: rw(6), extendedSync: rw(7) }),
    linkStatus: u16(0x12, { speed: ro(3, 0, 1), width: ro(9, 4, 1) }),
    deviceCapabilities2: u32(0x24, { timeoutDisable: ro(4, 4, 1) }),
    deviceControl2: u16(0x28, { timeout: rw(3, 0), timeoutDisable: rw(4) }),
    linkCapabilities2: u32(0x2c, { speeds: ro(7, 1, 1) }),
    linkControl2: u16(0x30, { targetSpeed: rw(3, 0, 1) }),
    linkStatus2: u16(0x32, ro),
  });

/** Vendor-specific (PCI Local Bus 3.0, 6.9): read-only bytes after the length. */
export const vendorSpecific = (next: number, bytes: Uint8Array) => {
  const data = Object.fromEntries([...bytes].map((byte, i) => [`byte${i}`, u8(3 + i, ro, byte)]));
  const declaration = { id: u8(0, ro, 0x09), next: u8(1, ro, next), length: u8(2, ro, 3 + bytes.length), ...data };
  return fragment(3 + bytes.length, declaration);
};

const extended = (id: number, version: number, next: number) =>
  u32(0, { id: ro(15, 0, id), version: ro(19, 16, version), next: ro(31, 20, next) });

const bits = (access: Access, list: readonly number[]): BitFields =>
  Object.fromEntries(list.map((bit) => [`bit${bit}`, access(bit)]));
/** The uncorrectable errors that an endpoint may report (PCI Express 4.0, 7.8.4.2); which are fatal by default (7.8.4.4). */
const uncorrectable = [4, 5, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22];
const correctable = [0, 6, 7, 8, 12, 13, 14];

/** Advanced Error Reporting (PCI Express 4.0, 7.8.4). Nothing here reports errors; the registers behave. */
export const advancedErrorReporting = (next: number) =>
  fragment(0x48, {
    header: extended(0x0001, 2, next),
    uncorrectableStatus: u32(0x04, bits(w1c, uncorrectable)),
    uncorrectableMask: u32(0x08, bits(rw, uncorrectable), 1 << 22),
    uncorrectableSeverity: u32(0x0c, bits(rw, uncorrectable), 0x0046_2030),
    correctableStatus: u32(0x10, bits(w1c, correctable)),
    correctableMask: u32(0x14, bits(rw, correctable), 0x6000),
    control: u32(0x18, { firstError: ro(4, 0) }),
    log0: u32(0x1c, ro),
    log1: u32(0x20, ro),
    log2: u32(0x24, ro),
    log3: u32(0x28, ro),
  });

/** Device Serial Number (PCI Express 4.0, 7.9.3): an EUI-64, most significant byte first in `serial`. */
export const serialNumber = (next: number, serial: Uint8Array) => {
  if (serial.length !== 8) throw new Error(`a serial number of ${serial.length} bytes, not 8`);
  const view = new DataView(serial.buffer, serial.byteOffset);
  return fragment(12, {
    header: extended(0x0003, 1, next),
    low: u32(4, ro, view.getUint32(4)),
    high: u32(8, ro, view.getUint32(0)),
  });
};

import { type BitFields, fragment, type Register, ro, rw, u8, u16, u32, w1c } from '../bits/register.ts';
import type { Bar } from './bar.ts';
import type { PciIdentity, PciInterrupts } from './device.ts';

/** The type 0 header (PCI Local Bus 3.0, 6.1). @param firstCapability its offset, or 0 for none. */
export function header(identity: PciIdentity, bars: { readonly [index: number]: Bar }, firstCapability: number) {
  const { classCode } = identity;
  return fragment(0x40, {
    vendor: u16(0x00, ro, identity.vendor),
    device: u16(0x02, ro, identity.device),
    command: u16(0x04, {
      ioSpace: rw(0),
      memorySpace: rw(1),
      busMaster: rw(2),
      parityErrorResponse: rw(6),
      systemError: rw(8),
      interruptDisable: rw(10),
    }),
    status: u16(0x06, {
      interruptStatus: ro(3),
      capabilitiesList: ro(4, 4, firstCapability === 0 ? 0 : 1),
      masterDataParityError: w1c(8),
      signaledTargetAbort: w1c(11),
      receivedTargetAbort: w1c(12),
      receivedMasterAbort: w1c(13),
      signaledSystemError: w1c(14),
      detectedParityError: w1c(15),
    }),
    revision: u8(0x08, ro, identity.revision ?? 0),
    programmingInterface: u8(0x09, ro, classCode & 0xff),
    subClass: u8(0x0a, ro, (classCode >>> 8) & 0xff),
    baseClass: u8(0x0b, ro, classCode >>> 16),
    cacheLineSize: u8(0x0c, rw),
    latencyTimer: u8(0x0d, ro),
    headerType: u8(0x0e, { layout: ro(6, 0), multiFunction: ro(7) }),
    bar0: barRegister(bars, 0),
    bar1: barRegister(bars, 1),
    bar2: barRegister(bars, 2),
    bar3: barRegister(bars, 3),
    bar4: barRegister(bars, 4),
    bar5: barRegister(bars, 5),
    subsystemVendor: u16(0x2c, ro, identity.subsystemVendor ?? 0),
    subsystem: u16(0x2e, ro, identity.subsystem ?? 0),
    capabilities: u8(0x34, ro, firstCapability),
    interruptLine: u8(0x3c, rw),
    interruptPin: u8(0x3d, ro, pinNumber(identity.interrupts.intx)),
  });
}

/** 1 is INTA#, 4 is INTD#, 0 no pin (6.2.4). */
function pinNumber(pin: PciInterrupts['intx']): number {
  return pin === true ? 1 : pin ? 'ABCD'.indexOf(pin) + 1 : 0;
}

/** A base address register: the address bits that are writable are the size, as system software finds it (6.2.5.1). */
function barRegister(bars: { readonly [index: number]: Bar }, index: number): Register<BitFields> {
  const offset = 0x10 + index * 4;
  const bar = bars[index];
  if (bar !== undefined) {
    const sizeBits = Math.log2(bar.sizeBytes);
    if (bar.kind === 'io') return u32(offset, { flags: ro(1, 0, 1), address: rw(31, sizeBits) });
    const flags = ro(3, 0, (bar.kind === 'memory64' ? 4 : 0) | (bar.prefetchable ? 8 : 0));
    return sizeBits > 31 ? u32(offset, { flags }) : u32(offset, { flags, address: rw(31, sizeBits) });
  }
  const below = bars[index - 1];
  if (below?.kind === 'memory64') {
    return u32(offset, { address: rw(31, Math.max(0, Math.log2(below.sizeBytes) - 32)) });
  }
  return u32(offset, { none: ro(31, 0) });
}

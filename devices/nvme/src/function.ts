import type { Accessible, Bar, MappableMemory, PciIdentity } from '@sidecard/core';
import { type ControllerIdentity, pciClass, pciDevice, pciVendor } from './identity.ts';
import {
  barSizeBytes,
  doorbellPageBytes,
  doorbellsOffset,
  msixPbaOffset,
  msixTableOffset,
  queueCount,
} from './limits.ts';

/** The controller as a PCI Express function (NVMe over PCIe Transport 1.0, 3.8). */
export function pciIdentity(who: ControllerIdentity): PciIdentity {
  return {
    vendor: pciVendor,
    device: pciDevice,
    revision: 1,
    classCode: pciClass,
    subsystemVendor: pciVendor,
    subsystem: pciDevice,
    interrupts: {
      intx: true,
      msi: 32,
      msix: {
        vectors: queueCount,
        table: { bar: 0, offset: msixTableOffset },
        pba: { bar: 0, offset: msixPbaOffset },
      },
    },
    express: true,
    powerManagement: true,
    advancedErrorReporting: true,
    serialNumber: who.pciSerial,
  };
}

/** BAR0: registers, doorbells on a page of their own, and behind them what the function adds for MSI-X. */
export function controllerBar(registers: Accessible, doorbells: Accessible | null, page: MappableMemory | null): Bar {
  return {
    kind: 'memory64',
    sizeBytes: barSizeBytes,
    windows: [
      { offset: 0, sizeBytes: doorbellsOffset, registers },
      {
        offset: doorbellsOffset,
        sizeBytes: doorbells?.sizeBytes ?? doorbellPageBytes,
        ...(doorbells !== null && { registers: doorbells }),
        ...(page !== null && { memory: page }),
      },
    ],
  };
}

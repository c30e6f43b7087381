import type { ConfigRegisters } from './config-space.ts';
import type { PciDevice } from './device.ts';
import type { InterruptState } from './interrupt-state.ts';
import type { VectorBits } from './message-vectors.ts';
import type { MsixTable } from './msix-table.ts';

/** What the interrupts need of the function that they belong to; `changed()` is called when any of it may have changed. */
export interface InterruptCard {
  readonly state: InterruptState;
  /** Whether there is a pin. */
  readonly intx: boolean;
  /** The level of the pin by the device's state. */
  level(): boolean;
  /** Sets the status register's interrupt bit, which tells the level whether or not the pin may be used. */
  showLevel(level: boolean): void;
  /** The driver does not let the pin be used: interrupt disable, or a power state in which there are no interrupts. */
  intxDisabled(): boolean;
  busMaster(): boolean;
  readonly msi: MsiCapability | null;
  readonly msix: MsixCapability | null;
}

export interface MsiCapability {
  readonly vectors: number;
  readonly bits: VectorBits;
  enabled(): boolean;
  /** How many the driver has allotted. */
  enabledVectors(): number;
}

export interface MsixCapability {
  readonly vectors: number;
  readonly bits: VectorBits;
  enabled(): boolean;
  functionMasked(): boolean;
}

/** @throws when the device has a pin and nothing that says its level: it would never interrupt. */
export function interruptCard(
  device: PciDevice,
  config: ConfigRegisters,
  state: InterruptState,
  msix: MsixTable | null,
  busMaster: () => boolean,
): InterruptCard {
  const { command, status } = config.header;
  if (device.identity.interrupts.intx && device.interruptLevel === undefined)
    throw new Error('a device with `intx` wants an interruptLevel()');
  return {
    state,
    intx: Boolean(device.identity.interrupts.intx),
    level: () => device.interruptLevel?.() ?? false,
    showLevel(level) {
      const bit = level ? 1 : 0;
      if (status.interruptStatus !== bit) status.interruptStatus = bit;
    },
    // In D3hot a function sends nothing (PCI Power Management 1.2, 5.4.1).
    intxDisabled: () => command.interruptDisable === 1 || (config.powerManagement?.control.powerState ?? 0) !== 0,
    busMaster,
    msi: config.msi ? msiCapability(config.msi) : null,
    msix: config.msix && msix ? msixCapability(config.msix, msix) : null,
  };
}

function msiCapability({ control, mask, pending }: NonNullable<ConfigRegisters['msi']>): MsiCapability {
  const vectors = 1 << control.multipleCapable;
  return {
    vectors,
    bits: {
      masked: (vector) => ((mask.value >>> vector) & 1) === 1,
      pending: (vector) => ((pending.value >>> vector) & 1) === 1,
      setPending(vector, on) {
        const bit = 1 << vector;
        pending.value = on ? pending.value | bit : pending.value & ~bit;
      },
    },
    enabled: () => control.enable === 1,
    // More than there are is undefined (PCI Local Bus 3.0, 6.8.1.3).
    enabledVectors: () => Math.min(1 << control.multipleEnable, vectors),
  };
}

function msixCapability({ control }: NonNullable<ConfigRegisters['msix']>, bits: MsixTable): MsixCapability {
  return {
    vectors: control.tableSize + 1,
    bits,
    enabled: () => control.enable === 1,
    functionMasked: () => control.functionMask === 1,
  };
}

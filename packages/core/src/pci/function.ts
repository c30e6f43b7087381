import type { HostBuffer } from '../bits/host-buffer.ts';
import type { StateArena } from '../state/arena.ts';
import type { Log, PciDevice, ResetKind } from './device.ts';
import type { InterruptController } from './interrupts.ts';

/** A part of a region that the client may map. */
export interface MappableArea {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly fd: number;
  /** Where the area is in the fd; the same fd and the same difference to `offset` for all areas of a region. */
  readonly fdOffset: number;
  readonly memory: HostBuffer;
}

/** A region of the device (VFIO_PCI_*_REGION_INDEX: BAR0 to 5, ROM 6, config 7, VGA 8). */
export interface Region {
  readonly index: number;
  /** 0 where there is none. */
  readonly sizeBytes: number;
  /** VFIO_REGION_INFO_FLAG_: READ 1, WRITE 2, MMAP 4. */
  readonly flags: number;
  readonly areas: readonly MappableArea[];
}

export interface PciFunctionOptions {
  /** The same that the device has as host.interrupt. */
  readonly interrupts: InterruptController;
  readonly arena: StateArena;
  readonly log: Log;
  /** The guest asks for a Function Level Reset; `reset('function')` has been done, config reads answer, and the server drains. */
  functionReset?(): void;
  /** Bus mastering was switched on or off. */
  busMasterChanged?(on: boolean): void;
}

/** A PCI function: config space, BARs and interrupts around a device, as a vfio-user server sees it. */
export declare class PciFunction {
  constructor(device: PciDevice, options: PciFunctionOptions);
  readonly device: PciDevice;
  readonly interrupts: InterruptController;
  /** VFIO_PCI_NUM_REGIONS of them. */
  readonly regions: readonly Region[];
  readonly busMaster: boolean;
  /** 0, or EINVAL when no such region or not all of the access is inside. */
  readRegion(index: number, offset: number, target: Uint8Array, targetOffset: number, lengthBytes: number): number;
  writeRegion(index: number, offset: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): number;
  reset(kind: ResetKind): void;
}

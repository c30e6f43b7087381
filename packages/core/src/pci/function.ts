import type { Accessible } from '../bits/accessible.ts';
import { REGION_COUNT, RegionIndex } from '../protocol/messages.ts';
import type { StateArena } from '../state/arena.ts';
import type { Bar, BarWindow } from './bar.ts';
import { BarRegion } from './bar-region.ts';
import { type ConfigRegisters, configMap, configRegisters } from './config-space.ts';
import type { Log, PciDevice, ResetKind } from './device.ts';
import { EINVAL } from './errno.ts';
import { interruptCard } from './interrupt-card.ts';
import { InterruptState } from './interrupt-state.ts';
import type { InterruptController } from './interrupts.ts';
import { MsixTable } from './msix-table.ts';
import { barRegion, noRegion, plainRegion, type Region } from './region.ts';

export type { MappableArea, Region } from './region.ts';

export interface PciFunctionOptions {
  /** The same that the device has as host.interrupt. */
  readonly interrupts: InterruptController;
  readonly arena: StateArena;
  readonly log: Log;
  /**
   * The guest has asked for a Function Level Reset by a config write. The registers have been reset already; the answer to the write
   * waits until `device.inFlight` is 0.
   */
  functionReset?(): void;
  /** Bus mastering was switched on or off. */
  busMasterChanged?(on: boolean): void;
}

/**
 * A PCI function: config space, BARs and interrupts around a device, as a vfio-user server sees it. BARs answer whatever the command
 * register's decode bits and the power state say: decoding is the client's side (QEMU unmaps a BAR that is not decoded), and the register
 * only shows what the driver wrote. Bus mastering gates DMA and messages.
 */
export class PciFunction {
  readonly device: PciDevice;
  readonly interrupts: InterruptController;
  readonly config: ConfigRegisters;
  /** VFIO_PCI_NUM_REGIONS of them, by index. */
  readonly regions: readonly Region[];
  readonly #options: PciFunctionOptions;
  readonly #msix: MsixTable | null;
  #busMaster = false;
  #multiFunction = false;

  /** @throws when identity or BARs make no sense. */
  constructor(device: PciDevice, options: PciFunctionOptions) {
    this.device = device;
    this.interrupts = options.interrupts;
    this.#options = options;
    const { arena } = options;
    const { identity } = device;
    const map = configMap(identity, device.bars);
    this.config = configRegisters(map, arena.registers('pci/config', map), {
      commandWritten: () => this.#busChanged(),
      powerStateWritten: () => this.#busChanged(),
      messagesWritten: () => this.interrupts.changed(),
      functionReset: () => {
        this.reset('function');
        options.functionReset?.();
      },
      transactionsPending: () => (device.inFlight ?? 0) > 0,
    });
    const state = arena.record('pci/interrupts', InterruptState);
    const vectors = identity.interrupts.msix?.vectors ?? 0;
    this.#msix = vectors > 0 ? new MsixTable(arena, vectors, state, () => this.interrupts.changed()) : null;
    this.regions = this.#layRegions();
    this.#busMaster = this.#mastersBus();
    this.interrupts.attach(interruptCard(device, this.config, state, this.#msix, () => this.#busMaster));
  }

  /** True while the guest lets the function master the bus, in D0. */
  get busMaster(): boolean {
    return this.#busMaster;
  }

  /** A guest's read: 0, or EINVAL when there is no such region or not all of the access is inside. */
  readRegion(index: number, offset: number, target: Uint8Array, targetOffset: number, lengthBytes: number): number {
    const region = this.regions[index];
    if (!region?.contents || !inside(region.sizeBytes, offset, lengthBytes)) return EINVAL;
    region.contents.read(offset, target, targetOffset, lengthBytes);
    return 0;
  }

  /** A guest's write; as readRegion. */
  writeRegion(index: number, offset: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): number {
    const region = this.regions[index];
    if (!region?.contents || !inside(region.sizeBytes, offset, lengthBytes)) return EINVAL;
    region.contents.write(offset, source, sourceOffset, lengthBytes);
    return 0;
  }

  /**
   * Brings config space, the MSI-X table and the device to their reset values at once. The client's fds and DMA maps stay; for
   * `disconnect` the registers stay too, and the interrupt fds are closed.
   */
  reset(kind: ResetKind): void {
    // The device first: what it asserted must not come out by another way (INTx) while the registers are reset.
    this.device.reset(kind);
    if (kind !== 'disconnect') {
      this.config.reset();
      this.showMultiFunction(this.#multiFunction);
      this.#msix?.table.reset();
      this.#busChanged();
    }
    if (kind === 'disconnect') this.interrupts.disconnect();
    else this.interrupts.reset();
  }

  /** Its device has more functions than this one; kept over resets. */
  showMultiFunction(multiFunction: boolean): void {
    this.#multiFunction = multiFunction;
    this.config.header.headerType.multiFunction = multiFunction ? 1 : 0;
  }

  #mastersBus(): boolean {
    return this.config.header.command.busMaster === 1 && (this.config.powerManagement?.control.powerState ?? 0) === 0;
  }

  #busChanged(): void {
    const on = this.#mastersBus();
    const changed = on !== this.#busMaster;
    this.#busMaster = on;
    this.interrupts.changed();
    if (changed) this.#options.busMasterChanged?.(on);
  }

  #layRegions(): readonly Region[] {
    const { bars, identity } = this.device;
    const msix = this.#msix;
    const place = identity.interrupts.msix;
    const regions: Region[] = [];
    for (let index = 0; index < REGION_COUNT; index++) {
      const bar: Bar | undefined = index < 6 ? bars[index] : undefined;
      const added: BarWindow[] = [];
      if (msix && place?.table.bar === index) added.push(windowAt(place.table.offset, msix.table));
      if (msix && place?.pba.bar === index) added.push(windowAt(place.pba.offset, msix.pba));
      if (bar) regions.push(barRegion(index, new BarRegion(`BAR${index}`, bar, added)));
      else if (added.length > 0) throw new Error(`MSI-X is in BAR${index}, which is not there`);
      else if (index === RegionIndex.config) regions.push(plainRegion(index, this.config));
      else regions.push(noRegion(index));
    }
    return regions;
  }
}

function inside(sizeBytes: number, offset: number, lengthBytes: number): boolean {
  return offset >= 0 && lengthBytes >= 0 && lengthBytes <= sizeBytes && offset <= sizeBytes - lengthBytes;
}

function windowAt(offset: number, registers: Accessible): BarWindow {
  return { offset, sizeBytes: registers.sizeBytes, registers };
}

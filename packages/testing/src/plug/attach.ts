import { loadNative } from '@sidecard/native';
import type { Ram } from '../guest-ram.ts';
import { PciBus } from '../pci/bus.ts';
import type { PciFunctionHandle } from '../pci/function-handle.ts';
import type { PciPort } from '../pci/port.ts';
import type { VfioUserClient } from '../vfio-user-client.ts';
import { checkSlotOptions, type Slot, type SlotOptions, slotBySocket, slotOfQemu } from './slots.ts';
import {
  checkTransport,
  type QemuCommand,
  qemuFromEnvironment,
  type Transport,
  transportFromEnvironment,
} from './transport.ts';

export interface MachineOptions extends SlotOptions {
  /** What the environment says (SIDECARD_QEMU) unless given. */
  readonly qemu?: QemuCommand;
}

export interface AttachOptions extends MachineOptions {
  /** What the environment says (SIDECARD_TRANSPORT), else a socket, unless given. */
  readonly transport?: Exclude<Transport, 'in-process'>;
}

/** A device in a slot of a machine, with its BARs placed and decoded. */
export class AttachedDevice {
  readonly transport: Transport;
  protected readonly slot: Slot;
  #function: PciFunctionHandle;
  #closed: Promise<void> | null = null;

  constructor(transport: Transport, slot: Slot) {
    this.transport = transport;
    this.slot = slot;
    this.#function = new PciBus().add(slot.port);
  }

  /** As the bus has found it, with its BARs placed and decoded. */
  get function(): PciFunctionHandle {
    return this.#function;
  }

  get port(): PciPort {
    return this.slot.port;
  }

  get ram(): Ram {
    return this.slot.port.ram;
  }

  /** Our own client. @throws where QEMU is the client. */
  get client(): VfioUserClient {
    if (this.slot.client === null) throw new Error('QEMU is the client');
    return this.slot.client;
  }

  /** The machine is reset (DEVICE_RESET), and its firmware finds the function again. Drivers of before are of no use any more. */
  async reset(): Promise<PciFunctionHandle> {
    await this.slot.reset();
    this.#function = new PciBus().add(this.port);
    return this.#function;
  }

  /** The machine is switched off. Closed again, nothing more happens. */
  close(): Promise<void> {
    this.#closed ??= this.end();
    return this.#closed;
  }

  protected end(): Promise<void> {
    return this.slot.close();
  }

  /** `await using machine = ...` closes it at the end of its block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Attaches a device of another process, of whatever language, to a machine: a test that uses nothing else of the device runs by a socket and through QEMU.
 *
 * @throws Error when options are wrong, nobody listens at `socket`, or QEMU does not start, with what it printed.
 */
export async function attach(socket: string, options: AttachOptions = {}): Promise<AttachedDevice> {
  checkSlotOptions(options);
  const { transport = transportFromEnvironment(), qemu } = options;
  checkTransport(transport);
  const native = loadNative();
  const slot =
    transport === 'qemu'
      ? await slotOfQemu(native, socket, options, qemu ?? qemuFromEnvironment())
      : slotBySocket(native, socket, options);
  return found(slot, () => new AttachedDevice(transport === 'qemu' ? 'qemu' : 'socket', slot));
}

/** A device that the bus cannot make sense of leaves no machine behind. */
export async function found<T extends AttachedDevice>(slot: Slot, find: () => T): Promise<T> {
  try {
    return find();
  } catch (error) {
    // What happens now is not the reason.
    await slot.close().catch(() => {});
    throw error;
  }
}

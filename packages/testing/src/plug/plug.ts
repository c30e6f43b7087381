import { setImmediate } from 'node:timers/promises';
import type { Host, PciDevice } from '@sidecard/core';
import { FakeNative, loadNative, type Native } from '@sidecard/native';
import type { Ram } from '../guest-ram.ts';
import { type InProcessOptions, InProcessServer } from '../in-process.ts';
import { PciBus } from '../pci/bus.ts';
import type { PciFunctionHandle } from '../pci/function-handle.ts';
import type { PciPort } from '../pci/port.ts';
import type { VfioUserClient } from '../vfio-user-client.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { type MemoryKind, type Slot, slotBySocket, slotInProcess, slotOfQemu } from './slots.ts';
import { type QemuCommand, qemuFromEnvironment, type Transport, transportFromEnvironment } from './transport.ts';

export interface PlugOptions extends Partial<InProcessOptions> {
  /** What the environment says (SIDECARD_TRANSPORT), else in-process, unless given. */
  readonly transport?: Transport;
  /** Shared unless given. */
  readonly memory?: MemoryKind;
  /** Guest memory, 16 MiB unless given; QEMU has more. */
  readonly ramBytes?: number;
  /** What the environment says (SIDECARD_QEMU) unless given. */
  readonly qemu?: QemuCommand;
}

/** Makes a device; `native` is for what it opens by itself. */
export type CreateDevice<D extends PciDevice> = (host: Host, native: Native) => D;

/** So many rounds without work are rest. */
const RESTFUL_ROUNDS = 4;
const TURNS_OF_ROUND = 50;

/** A device of this process in a machine. What a test does to `function` goes over the transport; `device` is the device itself. */
export class PluggedDevice<D extends PciDevice> {
  readonly device: D;
  readonly transport: Transport;
  readonly native: Native;
  readonly server: InProcessServer;
  readonly #slot: Slot;
  #function: PciFunctionHandle;

  constructor(device: D, transport: Transport, server: InProcessServer, slot: Slot) {
    this.device = device;
    this.transport = transport;
    this.native = server.native;
    this.server = server;
    this.#slot = slot;
    this.#function = new PciBus().add(slot.port);
  }

  /** As the bus has found it, with its BARs placed and decoded. */
  get function(): PciFunctionHandle {
    return this.#function;
  }

  get port(): PciPort {
    return this.#slot.port;
  }

  get ram(): Ram {
    return this.#slot.port.ram;
  }

  /** The device's time. */
  get clock(): VirtualClock {
    return this.server.clock;
  }

  /** Our own client. @throws where QEMU is the client. */
  get client(): VfioUserClient {
    if (this.#slot.client === null) throw new Error('QEMU is the client');
    return this.#slot.client;
  }

  /** Gives everybody time until all is at rest, the other side too. The device's clock stands. */
  async settle(): Promise<void> {
    for (let rest = 0; rest < RESTFUL_ROUNDS; ) {
      let worked = false;
      for (let turn = 0; turn < TURNS_OF_ROUND; turn++) worked = this.port.turn() || worked;
      this.#slot.settle();
      // Watchers of descriptors want their turn as well.
      await setImmediate();
      const asked = this.transport === 'qemu' && this.server.server.outstandingDma > 0;
      rest = worked || asked ? 0 : rest + 1;
    }
  }

  /** The machine is reset (DEVICE_RESET), and its firmware finds the function again. Drivers of before are of no use any more. */
  async reset(): Promise<PciFunctionHandle> {
    await this.#slot.reset();
    this.#function = new PciBus().add(this.port);
    return this.#function;
  }

  /** The machine is switched off, and the device ends, once its drives have. */
  async close(): Promise<void> {
    await this.#slot.close();
    let ended = false;
    const closing = this.server.close().finally(() => {
      ended = true;
    });
    while (!ended) {
      this.server.turn();
      await setImmediate();
    }
    await closing;
  }
}

/**
 * Puts a device into a machine, with its BARs placed and decoded; whatever the transport, the same test runs.
 *
 *     const machine = await plug((host) => new Edu(host));
 *     const guest = driver(EduRegisters, machine.function.bar(0));
 *
 * @throws Error when QEMU does not start, with what it printed.
 */
export async function plug<D extends PciDevice>(
  create: CreateDevice<D>,
  options: PlugOptions = {},
): Promise<PluggedDevice<D>> {
  const { transport = transportFromEnvironment(), memory = 'shared', ramBytes = 16 * 2 ** 20, qemu, ...rest } = options;
  const native = options.native ?? (transport === 'in-process' ? new FakeNative() : loadNative());
  let device: D | null = null;
  const server = new InProcessServer({ ...rest, native }, (host) => {
    device = create(host, native);
    return device;
  });
  const slotOptions = { memory, ramBytes };
  const slot =
    transport === 'qemu'
      ? await slotOfQemu(native, server, { ...slotOptions, ...(qemu ?? qemuFromEnvironment()) })
      : transport === 'socket'
        ? slotBySocket(native, server, slotOptions)
        : slotInProcess(native, server, slotOptions);
  return new PluggedDevice(device!, transport, server, slot);
}

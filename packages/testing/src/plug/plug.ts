import { setImmediate } from 'node:timers/promises';
import type { Host, PciDevice } from '@sidecard/core';
import { FakeNative, loadNative, type Native } from '@sidecard/native';
import { type InProcessOptions, InProcessServer } from '../in-process.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { AttachedDevice, found, type MachineOptions } from './attach.ts';
import { type Slot, slotBySocket, slotInProcess, slotOfQemu, slotOfServer } from './slots.ts';
import { qemuFromEnvironment, type Transport, transportFromEnvironment } from './transport.ts';

export interface PlugOptions extends MachineOptions, Partial<InProcessOptions> {
  /** What the environment says (SIDECARD_TRANSPORT), else in-process, unless given. */
  readonly transport?: Transport;
}

/** Makes a device; `native` is for what it opens by itself. */
export type CreateDevice<D extends PciDevice> = (host: Host, native: Native) => D;

/** So many rounds without work are rest. */
const RESTFUL_ROUNDS = 4;
const TURNS_OF_ROUND = 50;

/** A device of this process in a machine. What a test does to `function` goes over the transport; `device` is the device itself. */
export class PluggedDevice<D extends PciDevice> extends AttachedDevice {
  readonly device: D;
  readonly native: Native;
  readonly server: InProcessServer;

  constructor(device: D, transport: Transport, server: InProcessServer, slot: Slot) {
    super(transport, slot);
    this.device = device;
    this.native = server.native;
    this.server = server;
  }

  /** The device's time. */
  get clock(): VirtualClock {
    return this.server.clock;
  }

  /** Gives everybody time until all is at rest, the other side too. The device's clock stands. */
  async settle(): Promise<void> {
    for (let rest = 0; rest < RESTFUL_ROUNDS; ) {
      let worked = false;
      for (let turn = 0; turn < TURNS_OF_ROUND; turn++) worked = this.port.turn() || worked;
      this.slot.settle();
      // Watchers of descriptors want their turn as well.
      await setImmediate();
      const asked = this.transport === 'qemu' && this.server.server.outstandingDma > 0;
      rest = worked || asked ? 0 : rest + 1;
    }
  }

  /** The device ends too, once its drives have. */
  protected override async end(): Promise<void> {
    await super.end();
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
  const { transport = transportFromEnvironment(), qemu } = options;
  const native = options.native ?? (transport === 'in-process' ? new FakeNative() : loadNative());
  let device: D | null = null;
  const server = new InProcessServer({ ...options, native }, (host) => {
    device = create(host, native);
    return device;
  });
  const turn = () => server.turn();
  const slot =
    transport === 'in-process'
      ? slotInProcess(native, server, options)
      : await slotOfServer(server, (path) =>
          transport === 'qemu'
            ? slotOfQemu(native, path, options, qemu ?? qemuFromEnvironment(), turn)
            : slotBySocket(native, path, options, turn),
        );
  return found(slot, () => new PluggedDevice(device!, transport, server, slot));
}

import { setImmediate } from 'node:timers/promises';
import type { Host, PciDevice } from '@sidecard/core';
import { FakeNative, loadNative, type Native } from '@sidecard/native';
import { type InProcessOptions, InProcessServer } from '../in-process.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { AttachedDevice, found, type MachineOptions } from './attach.ts';
import { DeviceTurns } from './device-turns.ts';
import { checkSlotOptions, type Slot, slotBySocket, slotInProcess, slotOfQemu, slotOfServer } from './slots.ts';
import { checkTransport, qemuFromEnvironment, type Transport, transportFromEnvironment } from './transport.ts';

export interface PlugOptions extends MachineOptions, Partial<InProcessOptions> {
  /** What the environment says (SIDECARD_TRANSPORT), else in-process, unless given. */
  readonly transport?: Transport;
}

/** Makes a device; `native` is for what it opens by itself. */
export type CreateDevice<D extends PciDevice> = (host: Host, native: Native) => D;

/** So many rounds without work are rest. */
const RESTFUL_ROUNDS = 4;
/** How long it may take until there is rest, real milliseconds. */
const REST_TIMEOUT_MS = 10_000;
const TURNS_OF_ROUND = 50;

/** A device of this process in a machine. What a test does to `function` goes over the transport; `device` is the device itself. */
export class PluggedDevice<D extends PciDevice> extends AttachedDevice {
  readonly device: D;
  readonly native: Native;
  readonly server: InProcessServer;
  readonly #turns: DeviceTurns;

  constructor(device: D, transport: Transport, server: InProcessServer, slot: Slot, turns: DeviceTurns) {
    super(transport, slot);
    this.device = device;
    this.native = server.native;
    this.server = server;
    this.#turns = turns;
  }

  /** The device's time. */
  get clock(): VirtualClock {
    return this.server.clock;
  }

  /** Gives everybody time until all is at rest, the other side too. The device's clock stands. @throws Error when there is no rest in 10 s. */
  async settle(): Promise<void> {
    const deadline = performance.now() + REST_TIMEOUT_MS;
    for (let rest = 0; rest < RESTFUL_ROUNDS; ) {
      let worked = false;
      for (let turn = 0; turn < TURNS_OF_ROUND; turn++) worked = this.port.turn() || worked;
      this.slot.settle();
      // Watchers of descriptors want their turn as well.
      await setImmediate();
      const asked = this.transport === 'qemu' && this.server.server.outstandingDma > 0;
      rest = worked || asked ? 0 : rest + 1;
      if (rest === 0 && performance.now() > deadline) {
        const why = worked ? 'the device works on and on' : 'QEMU has DMA messages that it does not answer';
        throw new Error(`no rest in ${REST_TIMEOUT_MS} ms: ${why}`);
      }
    }
  }

  /** The device ends too, once its drives have. */
  protected override async end(): Promise<void> {
    this.#turns.hold();
    try {
      await super.end();
    } finally {
      await this.#turns.close();
    }
  }
}

/**
 * Puts a device into a machine, with its BARs placed and decoded; whatever the transport, the same test runs.
 *
 *     const machine = await plug((host) => new Edu(host));
 *     const guest = driver(EduRegisters, machine.function.bar(0));
 *
 * @throws Error when options are wrong, or QEMU does not start, with what it printed; what `create` throws.
 */
export async function plug<D extends PciDevice>(
  create: CreateDevice<D>,
  options: PlugOptions = {},
): Promise<PluggedDevice<D>> {
  checkSlotOptions(options);
  const { transport = transportFromEnvironment(), qemu } = options;
  checkTransport(transport);
  if (transport !== 'in-process' && options.native instanceof FakeNative)
    throw new Error(`a FakeNative has no sockets for transport ${transport}`);
  const native = options.native ?? (transport === 'in-process' ? new FakeNative() : loadNative());
  let device: D | null = null;
  const server = new InProcessServer({ ...options, native }, (host) => {
    device = create(host, native);
    return device;
  });
  const turns = new DeviceTurns(server);
  const { turn } = turns;
  try {
    const slot =
      transport === 'in-process'
        ? slotInProcess(native, server, options, turn)
        : await slotOfServer(server, (path) =>
            transport === 'qemu'
              ? slotOfQemu(native, path, options, qemu ?? qemuFromEnvironment(), turn)
              : slotBySocket(native, path, options, turn),
          );
    return await found(slot, () => new PluggedDevice(device!, transport, server, slot, turns));
  } catch (error) {
    // What happens now is not the reason.
    await turns.close().catch(() => {});
    throw error;
  }
}

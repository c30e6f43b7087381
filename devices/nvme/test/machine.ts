import { FakeNative } from '@sidecard/native';
import {
  GuestRam,
  generator,
  InProcessServer,
  LatePort,
  NvmeDriver,
  PciBus,
  type PciFunctionHandle,
  type QueuePair,
  RecordedLog,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import type { Controller } from '../src/index.ts';
import { type MachineOptions, machineParts, type Way } from './machine-options.ts';
import type { TestDrive } from './test-drive.ts';

export { type MachineOptions, type Way, ways } from './machine-options.ts';

export interface Machine {
  readonly native: FakeNative;
  readonly server: InProcessServer;
  readonly controller: Controller;
  readonly client: VfioUserClient;
  readonly ram: GuestRam;
  readonly handle: PciFunctionHandle;
  readonly driver: NvmeDriver;
  readonly drive: TestDrive;
  readonly log: RecordedLog;
  /** Gives everything time, some turns. */
  settle(turns?: number): void;
}

/** A machine in this process with an NVMe controller that its driver has not started: for tests that are the client too. Those of driver/ run on every transport. */
export function machine(way: Way, options: MachineOptions = {}): Machine {
  const { drives, ram: size, driver: driverOptions, create } = machineParts(way, options);
  const native = new FakeNative();
  const log = new RecordedLog();
  let controller: Controller | null = null;
  const server = new InProcessServer({ native, log }, (host) => {
    controller = create(host, native);
    return controller;
  });
  const client = new VfioUserClient(server.connect()!);
  client.version();
  const ram = way === 'mapped' ? GuestRam.shared(native, size) : GuestRam.private(size);
  client.mapRam(ram);
  if (way === 'messages') client.wire.dma.hold();
  const port = new (way === 'mapped' ? VfioUserPort : LatePort)(native, client, ram);
  const handle = new PciBus().add(port);
  const driver = new NvmeDriver(handle, driverOptions);
  const settle = (turns = 200) => {
    for (let turn = 0; turn < turns; turn++) port.turn();
  };
  return { native, server, controller: controller!, client, ram, handle, driver, drive: drives[0]!, log, settle };
}

/** The same, started, with an I/O queue pair. */
export async function started(way: Way, options: MachineOptions = {}): Promise<Machine & { queue: QueuePair }> {
  const made = machine(way, options);
  await made.driver.enable();
  const queue = await made.driver.createQueues(1);
  return { ...made, queue };
}

/** Bytes that differ from each other and from zeroes. */
export function pattern(lengthBytes: number, seed = 1): Uint8Array {
  const random = generator(seed);
  return Uint8Array.from({ length: lengthBytes }, () => 1 + Math.floor(random() * 255));
}

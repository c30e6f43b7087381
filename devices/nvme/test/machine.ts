import type { BlockBackend, DriveHost } from '@sidecard/block';
import type { MappableMemory } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import {
  GuestRam,
  generator,
  InProcessServer,
  LatePort,
  NvmeDriver,
  type NvmeDriverOptions,
  PciBus,
  type PciFunctionHandle,
  type QueuePair,
  RecordedLog,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import { Controller, type ControllerOptions } from '../src/index.ts';
import { TestDrive } from './test-drive.ts';

/** Guest memory mapped into the device, with a drive that ends in line; or behind messages, with everything late and out of order. */
export const ways = ['mapped', 'messages'] as const;
export type Way = (typeof ways)[number];

export interface MachineOptions extends NvmeDriverOptions {
  readonly drives?: readonly TestDrive[];
  /** What the namespaces are of, instead of the drives themselves. */
  readonly wrap?: (drive: TestDrive, host: DriveHost) => BlockBackend;
  readonly lbaBytes?: 512 | 4096 | null;
  readonly fixedFormat?: boolean;
  readonly controller?: Partial<ControllerOptions>;
  readonly doorbellPage?: (native: FakeNative) => MappableMemory;
  readonly ramBytes?: number;
}

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
  const {
    drives = [new TestDrive(1 << 20)],
    wrap = (drive: TestDrive): BlockBackend => drive,
    lbaBytes = null,
    fixedFormat = false,
    controller: more,
    doorbellPage,
    ramBytes,
    ...rest
  } = options;
  const native = new FakeNative();
  const log = new RecordedLog();
  const page = doorbellPage === undefined ? null : doorbellPage(native);
  let controller: Controller | null = null;
  const server = new InProcessServer({ native, log }, (host) => {
    const namespaces = drives.map((drive) => ({ backend: wrap(drive, { ...host, native }), lbaBytes, fixedFormat }));
    controller = new Controller(host, { drives: namespaces, doorbellPage: page, ...more });
    return controller;
  });
  const client = new VfioUserClient(server.connect()!);
  client.version();
  const size = ramBytes === undefined ? {} : { sizeBytes: ramBytes };
  const ram = way === 'mapped' ? GuestRam.shared(native, size) : GuestRam.private(size);
  client.mapRam(ram);
  if (way === 'messages') {
    client.wire.dma.hold();
    for (const drive of drives) drive.slow = true;
  }
  const port = new (way === 'mapped' ? VfioUserPort : LatePort)(native, client, ram);
  const handle = new PciBus().add(port);
  const driver = new NvmeDriver(handle, rest);
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

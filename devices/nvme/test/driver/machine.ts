import type { BlockBackend, DriveHost } from '@sidecard/block';
import type { MappableMemory } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import {
  NvmeDriver,
  type NvmeDriverOptions,
  type PciFunctionHandle,
  type PluggedDevice,
  plug,
  type QueuePair,
  type Ram,
  RecordedLog,
} from '@sidecard/testing';
import { onTestFinished } from 'vitest';
import { Controller, type ControllerOptions } from '../../src/index.ts';
import type { Way } from '../machine.ts';
import { TestDrive } from '../test-drive.ts';

export { pattern, type Way, ways } from '../machine.ts';

export interface MachineOptions extends NvmeDriverOptions {
  readonly drives?: readonly TestDrive[];
  /** What the namespaces are of, instead of the drives themselves. */
  readonly wrap?: (drive: TestDrive, host: DriveHost) => BlockBackend;
  readonly lbaBytes?: 512 | 4096 | null;
  readonly fixedFormat?: boolean;
  readonly controller?: Partial<ControllerOptions>;
  readonly doorbellPage?: (native: Native) => MappableMemory;
  readonly ramBytes?: number;
}

export interface Machine {
  readonly slot: PluggedDevice<Controller>;
  readonly controller: Controller;
  readonly ram: Ram;
  readonly handle: PciFunctionHandle;
  readonly driver: NvmeDriver;
  readonly drive: TestDrive;
  readonly log: RecordedLog;
  /** Gives everything time until all is at rest. */
  settle(): Promise<void>;
  /** Gives everything so many turns, and stops at a moment in the middle, which is another on each transport. */
  pass(turns: number): void;
}

/**
 * A machine with an NVMe controller that its driver has not started, on the transport that the tests run on. Guest memory by messages: with everything
 * late and out of order, as far as the client lets it (QEMU answers messages in their order).
 */
export async function machine(way: Way, options: MachineOptions = {}): Promise<Machine> {
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
  const log = new RecordedLog();
  if (way === 'messages') for (const drive of drives) drive.slow = true;
  const slot = await plug(
    (host, native) => {
      const namespaces = drives.map((drive) => ({ backend: wrap(drive, { ...host, native }), lbaBytes, fixedFormat }));
      const page = doorbellPage === undefined ? null : doorbellPage(native);
      return new Controller(host, { drives: namespaces, doorbellPage: page, ...more });
    },
    { log, memory: way === 'mapped' ? 'shared' : 'late-messages', ...(ramBytes !== undefined && { ramBytes }) },
  );
  onTestFinished(() => {
    for (const drive of drives) drive.stalled = false;
    return slot.close();
  });
  return {
    slot,
    controller: slot.device,
    ram: slot.ram,
    handle: slot.function,
    driver: new NvmeDriver(slot.function, rest),
    drive: drives[0]!,
    log,
    settle: () => slot.settle(),
    pass: (turns) => {
      for (let turn = 0; turn < turns; turn++) slot.port.turn();
    },
  };
}

/** The same, started, with an I/O queue pair. */
export async function started(way: Way, options: MachineOptions = {}): Promise<Machine & { queue: QueuePair }> {
  const made = await machine(way, options);
  await made.driver.enable();
  const queue = await made.driver.createQueues(1);
  return { ...made, queue };
}

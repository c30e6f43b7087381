import {
  NvmeDriver,
  type PciFunctionHandle,
  type PluggedDevice,
  plug,
  type QueuePair,
  type Ram,
  RecordedLog,
} from '@sidecard/testing';
import { onTestFinished } from 'vitest';
import type { Controller } from '../../src/index.ts';
import { type MachineOptions, machineParts, type Way } from '../machine-options.ts';
import type { TestDrive } from '../test-drive.ts';

export { pattern } from '../machine.ts';
export { type MachineOptions, type Way, ways } from '../machine-options.ts';

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
  const { drives, ram, driver, create } = machineParts(way, options);
  const log = new RecordedLog();
  const memory = way === 'mapped' ? 'shared' : 'late-messages';
  const slot = await plug(create, { log, memory, ...(ram.sizeBytes !== undefined && { ramBytes: ram.sizeBytes }) });
  onTestFinished(() => {
    for (const drive of drives) drive.stalled = false;
    return slot.close();
  });
  return {
    slot,
    controller: slot.device,
    ram: slot.ram,
    handle: slot.function,
    driver: new NvmeDriver(slot.function, driver),
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

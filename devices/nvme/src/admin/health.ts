import { EACCES, EFAULT, EPERM, EROFS, ETIMEDOUT } from '@sidecard/block';
import type { Command } from '../command/command.ts';
import { IoOpcode } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import { isFull } from '../host-errors.ts';
import { Count, type Namespace } from '../namespaces/namespace.ts';
import { Status, type StatusCode } from '../status.ts';
import { BusyTime } from './busy-time.ts';
import { HealthEvent } from './events.ts';

const healthColumns = {
  readBytes: { type: 'f64', unit: 'bytes' },
  writtenBytes: { type: 'f64', unit: 'bytes' },
  readCommands: 'f64',
  writeCommands: 'f64',
  mediaErrors: 'f64',
  unsafeShutdowns: 'f64',
  powerCycles: 'f64',
  startedMs: { type: 'f64', unit: 'ms since 1970' },
} as const;

/** What the SMART log counts, and what a drive's errors mean to the guest. */
export class Health {
  readonly #controller: Controller;
  readonly rows;
  readonly busy: BusyTime;

  constructor(controller: Controller) {
    const { state, clock } = controller.host;
    this.#controller = controller;
    this.busy = new BusyTime(controller);
    this.rows = state.table('nvme/health', healthColumns, 1);
    if (this.rows.startedMs[0] === 0) {
      this.rows.startedMs[0] = clock.wallTime();
      this.rows.powerCycles[0] = 1;
    }
  }

  /**
   * Counts what a command has moved, once it is marked completed: until then a successor runs it, and would count it, again. What the NVM command
   * set counts (NVM 1.0, 4.1.4.2): Read and Compare as reads, Verify as data that is read and no read command, Write as a write, Copy as a read
   * command and as a write. Write Zeroes and Write Uncorrectable are neither.
   */
  completed(command: Command): void {
    const { rows } = this;
    const { opcode, readBytes, writtenBytes } = command;
    const counts = command.namespace === null ? null : command.namespace.counts;
    if (readBytes > 0) {
      rows.readBytes[0] = rows.readBytes[0]! + readBytes;
      if (counts !== null) counts[Count.readBytes] = counts[Count.readBytes]! + readBytes;
      if (opcode !== IoOpcode.verify) this.#readCompleted(counts);
    }
    if (writtenBytes > 0) {
      rows.writtenBytes[0] = rows.writtenBytes[0]! + writtenBytes;
      rows.writeCommands[0] = rows.writeCommands[0]! + 1;
      if (counts !== null) {
        counts[Count.writtenBytes] = counts[Count.writtenBytes]! + writtenBytes;
        counts[Count.writeCommands] = counts[Count.writeCommands]! + 1;
      }
      if (opcode === IoOpcode.copy) this.#readCompleted(null);
    }
  }

  #readCompleted(counts: Float64Array | null): void {
    this.rows.readCommands[0] = this.rows.readCommands[0]! + 1;
    if (counts !== null) counts[Count.readCommands] = counts[Count.readCommands]! + 1;
  }

  /** The machine was reset, or has gone, without shutting the controller down. */
  unsafeShutdown(): void {
    this.rows.unsafeShutdowns[0] = this.rows.unsafeShutdowns[0]! + 1;
  }

  /** A reset of the machine. */
  powerCycle(): void {
    this.rows.powerCycles[0] = this.rows.powerCycles[0]! + 1;
  }

  /**
   * Critical warning (NVMe Base 2.0, figure 207): bit 1, a temperature threshold is passed; bit 2, reliability degraded, once a flush has failed. Not bit
   * 3, media that has become read-only: namespaces that are write protected since somebody wants them so are no sign of bad health.
   */
  get criticalWarning(): number {
    return (this.#controller.features.temperature.alarm ? 1 << 1 : 0) | (this.#degraded ? 1 << 2 : 0);
  }

  get #degraded(): boolean {
    return this.#controller.namespaces.list.some((namespace) => namespace.flushFailed);
  }

  /** Thresholds, or which warnings are events, have changed: those that there are, are told. */
  warn(): void {
    const { events, features } = this.#controller;
    if (features.temperature.alarm) events.health(HealthEvent.temperature);
    if (this.#degraded) events.health(HealthEvent.reliability);
  }

  /** A flush failed, and stays failed: what the kernel dropped cannot be asked for again. One that the drive has not answered in time can. */
  flushFailed(namespace: Namespace, error: number): void {
    if (namespace.flushFailed || this.isStall(error)) return;
    namespace.flushFailed = true;
    // The drive itself has logged why.
    this.#controller.host.log.debug({ nsid: namespace.nsid, errno: error }, 'flushes fail from now on');
    this.#controller.events.health(HealthEvent.reliability);
  }

  /** The drive has not answered in time (on-stall=error), and nothing is said of its data. */
  isStall(error: number): boolean {
    return error === ETIMEDOUT;
  }

  /**
   * The status of a command whose request ended with an errno. The drive itself logs each kind of error once; on a full disk every other
   * command fails, so one that succeeds says nothing.
   */
  driveError(operation: string, error: number): StatusCode {
    if (isFull(error)) return Status.capacityExceeded;
    switch (error) {
      case EROFS:
      case EPERM:
      case EACCES:
        return Status.namespaceWriteProtected;
      case EFAULT:
        // A memory file that was cut: the guest's side failed, and the drive's media is well.
        return Status.dataTransferError;
      case ETIMEDOUT:
        // A drive that has stalled (on-stall=error): it may be well again at the next try. (Command Interrupted would want Host Behavior Support's ACRE.)
        return Status.namespaceNotReady;
      default:
        this.rows.mediaErrors[0] = this.rows.mediaErrors[0]! + 1;
        return operation === 'read' ? Status.unrecoveredRead : Status.writeFault;
    }
  }
}

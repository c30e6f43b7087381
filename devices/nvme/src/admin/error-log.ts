import type { StateArena } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { ErrorLogEntry } from '../command/commands.ts';
import { errorLogEntries } from '../limits.ts';
import { doNotRetry, mayRetry, more, Status, type StatusCode } from '../status.ts';

const errorColumns = {
  /** Entries ever made; the newest is at (count - 1) modulo the size of the log. */
  count: 'f64',
} as const;

/**
 * The Error Information log (NVMe Base 2.0, 5.16.1.2): trouble with drive and guest memory, wrong doorbells, and mistakes in commands with the
 * field that is wrong.
 */
export class ErrorLog {
  readonly #entries;
  readonly #rows;

  constructor(state: StateArena) {
    this.#entries = state.records('nvme/error-log', ErrorLogEntry, errorLogEntries);
    this.#rows = state.table('nvme/error-log/count', errorColumns, 1);
  }

  get count(): number {
    return this.#rows.count[0]!;
  }

  /** A command has ended with an error. Where it is worth an entry it is told to have one (More). */
  completed(command: Command): void {
    const code = (command.status & 0x7ff) as StatusCode;
    const trouble = mayRetry(code) || code === Status.capacityExceeded || code === Status.insufficientCapacity;
    if (!(trouble || command.parameterLocation !== 0xffff) || code === Status.abortRequested) return;
    command.status |= more;
    const entry = this.#next();
    entry.sqid = command.queue.id;
    entry.cid = command.cid;
    entry.status = command.status << 1;
    entry.parameterLocation = command.parameterLocation;
    entry.lba = command.lba;
    entry.nsid = command.nsid;
    if (code === Status.insufficientCapacity) entry.specific = command.specific;
  }

  /** An error that is no command's. */
  event(): void {
    const entry = this.#next();
    entry.sqid = 0xffff;
    entry.cid = 0xffff;
    entry.status = (Status.invalidField | doNotRetry) << 1;
  }

  /** The entry that is `age` entries older than the newest, or null. */
  entry(age: number): Uint8Array | null {
    if (age >= Math.min(this.count, errorLogEntries)) return null;
    return this.#entries[(this.count - 1 - age) % errorLogEntries]!.buffer.bytes;
  }

  #next() {
    const entry = this.#entries[this.count % errorLogEntries]!;
    entry.buffer.bytes.fill(0);
    this.#rows.count[0] = this.count + 1;
    entry.errorCount = this.count;
    entry.parameterLocation = 0xffff;
    return entry;
  }
}

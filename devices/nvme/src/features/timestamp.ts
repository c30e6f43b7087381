import { bytes, type Clock, le8, le16, le32, type StateArena, struct } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { type Failure, Status } from '../status.ts';
import { Feature } from './feature.ts';

/** Data of Get Features (NVMe Base 2.0, figure 331); of Set Features (330) it is the first six bytes. */
const TimestampData = struct(8, {
  low: le32(0),
  high: le16(4),
  /** Has stopped counting at times: it never does here. */
  synch: le8(6).bits(0),
  origin: le8(6).bits(3, 1),
  reserved: bytes(7, 1),
});

/** Where the time counts from: the last reset, or what the host has set. */
const Origin = { reset: 0, host: 1 } as const;

const timestampColumns = {
  origin: 'u8',
  /** What was set, and when by this machine's clock. */
  valueMs: { type: 'f64', unit: 'ms' },
  atMs: { type: 'f64', unit: 'ms since 1970' },
} as const;

const wrap = 2 ** 48;

/** Timestamp (0Eh; NVMe Base 2.0, 5.27.1.7): kept over every reset but that of the machine. */
export class Timestamp extends Feature {
  readonly #clock: Clock;
  readonly #rows;

  constructor(state: StateArena, clock: Clock) {
    super();
    this.#clock = clock;
    this.#rows = state.table('nvme/feature/timestamp', timestampColumns, 1);
    if (this.#rows.atMs[0] === 0) this.powerCycle();
  }

  override dataBytes(): number {
    return TimestampData.sizeBytes;
  }
  current(command: Command): number {
    const { valueMs, atMs, origin } = this.#rows;
    this.#put(command, valueMs[0]! + Math.max(0, this.#clock.wallTime() - atMs[0]!), origin[0]!);
    return 0;
  }
  initial(command: Command): number {
    this.#put(command, 0, Origin.reset);
    return 0;
  }
  set(command: Command): Failure {
    const { low, high } = TimestampData.over(command.payload);
    this.#begin(low + high * 0x1_0000_0000, Origin.host);
    return Status.success;
  }
  reset(): void {
    if (this.#rows.origin[0] === Origin.reset) this.powerCycle();
  }
  powerCycle(): void {
    this.#begin(0, Origin.reset);
  }

  #begin(valueMs: number, origin: number): void {
    this.#rows.valueMs[0] = valueMs;
    this.#rows.atMs[0] = this.#clock.wallTime();
    this.#rows.origin[0] = origin;
  }

  #put(command: Command, ms: number, origin: number): void {
    const record = TimestampData.over(command.payload);
    record.low = ms % 0x1_0000_0000;
    record.high = Math.floor((ms % wrap) / 0x1_0000_0000);
    record.origin = origin;
  }
}

import type { HostBuffer, StateArena } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Feature, Select } from './feature.ts';

/** What each byte of Host Behavior Support may be (NVMe Base 2.0, figure 346): ACRE and ETDAS 0 or 1, LBAFEE 0, since there are no such formats (CTRATT.ELBAS). */
const behaviors = [1, 1, 0] as const;
const behaviorBytes = 512;
const wrongBehavior = mistake(Status.invalidField, Field.prp1);

/** Host Behavior Support (16h; NVMe Base 2.0, 5.27.1.18): what it allows is not made use of, and it is kept. */
export class HostBehavior extends Feature {
  readonly #value: HostBuffer;

  constructor(state: StateArena) {
    super();
    this.#value = state.bytes('nvme/feature/host-behavior', behaviors.length);
  }

  override dataBytes(): number {
    return behaviorBytes;
  }
  current(command: Command): number {
    command.payload.bytes.set(this.#value.bytes);
    return 0;
  }
  initial(_command: Command): number {
    return 0;
  }
  set(command: Command): Failure {
    const { bytes } = command.payload;
    if (behaviors.some((most, index) => bytes[index]! > most)) return wrongBehavior;
    this.#value.bytes.set(bytes.subarray(0, behaviors.length));
    return Status.success;
  }
  reset(): void {
    this.#value.bytes.fill(0);
  }
}

const identifierColumns = {
  /** It is of 16 bytes (EXHID), and not of 8. */
  extended: 'u8',
} as const;
const otherFormat = mistake(Status.hostIdentifierFormat, Field.cdw11);

/** Host Identifier (81h; NVMe Base 2.0, 5.27.1.25): of 8 or 16 bytes (EXHID), and read as it was set. */
export class HostIdentifier extends Feature {
  readonly #value: HostBuffer;
  readonly #rows;

  constructor(state: StateArena) {
    super();
    this.#value = state.bytes('nvme/feature/host-identifier', 16);
    this.#rows = state.table('nvme/feature/host-identifier/format', identifierColumns, 1);
  }

  override dataBytes(command: Command): number {
    return isExtended(command) ? 16 : 8;
  }
  override check(command: Command, select: number | null): Failure {
    const asSet = isExtended(command) === (this.#rows.extended[0] === 1);
    return select !== Select.current || asSet || this.#isUnset ? Status.success : otherFormat;
  }
  current(command: Command): number {
    command.payload.bytes.set(this.#value.bytes.subarray(0, this.dataBytes(command)));
    return 0;
  }
  initial(_command: Command): number {
    return 0;
  }
  set(command: Command): Failure {
    this.#value.bytes.fill(0);
    this.#value.bytes.set(command.payload.bytes.subarray(0, this.dataBytes(command)));
    this.#rows.extended[0] = isExtended(command) ? 1 : 0;
    return Status.success;
  }
  reset(): void {
    this.#value.bytes.fill(0);
  }

  get #isUnset(): boolean {
    return this.#value.bytes.every((byte) => byte === 0);
  }
}

function isExtended(command: Command): boolean {
  return (command.sqe.cdw11 & 1) !== 0;
}

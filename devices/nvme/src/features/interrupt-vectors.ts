import type { StateArena } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { queueCount } from '../limits.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Feature } from './feature.ts';

const vectorColumns = { coalescingDisabled: 'u8' } as const;
const noVector = mistake(Status.invalidField, Field.cdw11);

/** Interrupt Vector Configuration (09h; NVMe Base 2.0, 5.27.1.7): which vectors are not coalesced. */
export class InterruptVectors extends Feature {
  readonly #disabled;

  constructor(state: StateArena) {
    super();
    this.#disabled = state.table('nvme/feature/vector', vectorColumns, queueCount).coalescingDisabled;
  }

  coalesced(vector: number): boolean {
    return this.#disabled[vector] === 0;
  }

  override check(command: Command): Failure {
    return (command.sqe.cdw11 & 0xffff) < queueCount ? Status.success : noVector;
  }
  current(command: Command): number {
    const vector = command.sqe.cdw11 & 0xffff;
    return vector | (this.#disabled[vector]! << 16);
  }
  initial(command: Command): number {
    return command.sqe.cdw11 & 0xffff;
  }
  set(command: Command): Failure {
    const { cdw11 } = command.sqe;
    this.#disabled[cdw11 & 0xffff] = (cdw11 >>> 16) & 1;
    return Status.success;
  }
  reset(): void {
    this.#disabled.fill(0);
  }
}

import type { StateArena } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { allNamespaces } from '../command/commands.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Feature } from './feature.ts';

/** By nsid: TLER, which limits nothing here, since a drive's retries are its own. */
const recoveryColumns = { value: 'u16' } as const;

/** DULBE: no namespace reports errors of deallocated blocks (NSFEAT bit 2). */
const deallocatedErrors = 1 << 16;
const noDeallocatedErrors = mistake(Status.invalidField, Field.cdw11 + 2, 0);

/** Error Recovery (05h; NVM Command Set 1.0, 4.1.3.1): of a namespace, or set for all of them. */
export class ErrorRecovery extends Feature {
  override readonly ofNamespace = true;
  readonly #values;

  /** @param limit the largest nsid. */
  constructor(state: StateArena, limit: number) {
    super();
    this.#values = state.table('nvme/feature/error-recovery', recoveryColumns, limit + 1).value;
  }

  current(command: Command): number {
    return this.#values[command.nsid]!;
  }
  initial(_command: Command): number {
    return 0;
  }
  set(command: Command): Failure {
    const { cdw11 } = command.sqe;
    if ((cdw11 & deallocatedErrors) !== 0) return noDeallocatedErrors;
    if (command.nsid === allNamespaces) this.#values.fill(cdw11 & 0xffff);
    else this.#values[command.nsid] = cdw11 & 0xffff;
    return Status.success;
  }
  forget(nsid: number): void {
    this.#values[nsid] = 0;
  }
  reset(): void {
    this.#values.fill(0);
  }
}

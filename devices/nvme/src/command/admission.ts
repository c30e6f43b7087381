import { Admission } from '@sidecard/block';
import type { Controller } from '../controller.ts';
import { maxTransferBytes } from '../limits.ts';
import { type Failure, Status } from '../status.ts';
import type { Command } from './command.ts';

/** Of `admit`: the command waits. No failure is negative. */
export const admissionPending: Failure = -2;

/** A command that waits for the limits of a drive. */
export class CommandAdmission extends Admission {
  readonly #command: Command;
  /** It has waited, and may begin. */
  granted = false;
  /** It has waited, and is to fail with that. */
  refusal: Failure = Status.success;

  constructor(command: Command) {
    super();
    this.#command = command;
  }

  admitted(): void {
    this.granted = true;
    this.#command.admitted();
  }

  refuse(failure: Failure): void {
    this.limiter!.withdraw(this);
    this.refusal = failure;
  }

  /** The command has ended. */
  clear(): void {
    this.limiter?.withdraw(this);
    this.granted = false;
    this.refusal = Status.success;
  }
}

/**
 * Whether a command may begin at its namespace, by the limits of the drive: success, a failure, or `admissionPending`. Then it is as if it had only been
 * fetched: laid aside or parked, in no namespace, with nothing of the guest's or the drive's, so that whoever resets, drains, formats or deletes waits for no
 * limit; and it is entered again where it was. Flushes never ask.
 * @param operations of the drive: one, of large commands one for as much as one command transfers at most (`operationsOf`).
 * @param lengthBytes that are read and written.
 */
export function admit(controller: Controller, command: Command, operations: number, lengthBytes: number): Failure {
  return command.namespace!.limiter.limited ? ask(controller, command, operations, lengthBytes) : Status.success;
}

export function operationsOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / maxTransferBytes);
}

function ask(controller: Controller, command: Command, operations: number, lengthBytes: number): Failure {
  const { admission } = command;
  if (admission.granted || admission.refusal !== Status.success) return admission.refusal;
  const namespace = command.namespace!;
  // Of what has come further (Copy, fused operations) there is more than its entry.
  const hasBegun = command.step !== 0 || command.part !== 0;
  const { waitingRoom } = controller.processor;
  const place = hasBegun ? null : waitingRoom.take();
  if (namespace.limiter.admit(place ?? admission, operations, lengthBytes)) {
    if (place !== null) waitingRoom.free(place);
    return Status.success;
  }
  command.namespace = null;
  namespace.leave();
  if (place === null) controller.processor.park(command);
  else waitingRoom.lay(place, command);
  return admissionPending;
}

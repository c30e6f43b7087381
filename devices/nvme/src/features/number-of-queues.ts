import type { Command } from '../command/command.ts';
import { ioQueues } from '../limits.ts';
import type { Queues } from '../queues/queues.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Feature } from './feature.ts';

const tooManySubmission = mistake(Status.invalidField, Field.cdw11);
const tooManyCompletion = mistake(Status.invalidField, Field.cdw11 + 2);

/** Number of Queues (07h; NVMe Base 2.0, 5.27.1.5): as many as there are, whatever is asked for; not once there are any. */
export class NumberOfQueues extends Feature {
  readonly #queues: Queues;

  constructor(queues: Queues) {
    super();
    this.#queues = queues;
  }

  current(_command: Command): number {
    return (ioQueues - 1) | ((ioQueues - 1) << 16);
  }
  initial(command: Command): number {
    return this.current(command);
  }
  set(command: Command): Failure {
    const { cdw11 } = command.sqe;
    if ((cdw11 & 0xffff) === 0xffff) return tooManySubmission;
    if (cdw11 >>> 16 === 0xffff) return tooManyCompletion;
    if (this.#queues.anyIo) return Status.commandSequenceError;
    command.result = this.current(command);
    return Status.success;
  }
  reset(): void {}
}

import type { Command } from '../command/command.ts';
import type { Controller } from '../controller.ts';
import { maxQueueEntries, queueCount } from '../limits.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import type { SubmissionQueue } from './submission-queue.ts';

/** Sizes of entries, as powers of two (CC.IOSQES, CC.IOCQES). */
const submissionEntrySize = 6;
const completionEntrySize = 4;

// Dword 10: QID, QSIZE. Dword 11: PC, IEN or QPRIO, and IV or CQID.
const wrongId = mistake(Status.invalidQueueIdentifier, Field.cdw10);
const wrongSize = mistake(Status.invalidQueueSize, Field.cdw10 + 2);
const notContiguous = mistake(Status.invalidField, Field.cdw11);
const wrongVector = mistake(Status.invalidInterruptVector, Field.cdw11 + 2);
const wrongCompletionId = mistake(Status.invalidQueueIdentifier, Field.cdw11 + 2);
const noCompletionQueue = mistake(Status.completionQueueInvalid, Field.cdw11 + 2);
const wrongAddress = mistake(Status.invalidPrpOffset, Field.prp1);
const stillUsed = mistake(Status.invalidQueueDeletion, Field.cdw10);

/** Create I/O Completion Queue (NVMe Base 2.0, 5.4). */
export function createCompletionQueue(controller: Controller, command: Command): boolean {
  const { cdw10, cdw11, prp1 } = command.sqe;
  const id = cdw10 & 0xffff;
  const entries = (cdw10 >>> 16) + 1;
  const interruptsEnabled = (cdw11 & 2) !== 0;
  const vector = cdw11 >>> 16;
  const queue = controller.queues.completion[id];
  if (id === 0 || queue === undefined || (command.step === 0 && queue.created)) return command.fail(wrongId);
  if (controller.registers.cc.iocqes !== completionEntrySize) return command.fail(Status.invalidQueueSize);
  const wrong = checkShape(controller, entries, cdw11, prp1);
  if (wrong !== Status.success) return command.fail(wrong);
  if (interruptsEnabled && vector >= vectors(controller)) return command.fail(wrongVector);
  command.step = 1;
  queue.create(prp1, entries, vector, interruptsEnabled);
  controller.doorbells.createdCompletion(queue);
  controller.queues.update();
  return true;
}

/** Create I/O Submission Queue (5.5). */
export function createSubmissionQueue(controller: Controller, command: Command): boolean {
  const { cdw10, cdw11, prp1 } = command.sqe;
  const id = cdw10 & 0xffff;
  const entries = (cdw10 >>> 16) + 1;
  const completionId = cdw11 >>> 16;
  const queue = controller.queues.submission[id];
  const completions = controller.queues.completion[completionId];
  if (id === 0 || queue === undefined || (command.step === 0 && queue.created)) return command.fail(wrongId);
  if (completionId === 0 || completions === undefined) return command.fail(wrongCompletionId);
  if (!completions.created) return command.fail(noCompletionQueue);
  if (controller.registers.cc.iosqes !== submissionEntrySize) return command.fail(Status.invalidQueueSize);
  const wrong = checkShape(controller, entries, cdw11, prp1);
  if (wrong !== Status.success) return command.fail(wrong);
  command.step = 1;
  queue.create(prp1, entries, completions, (cdw11 >>> 1) & 3);
  controller.doorbells.created(queue);
  controller.queues.update();
  return true;
}

function checkShape(controller: Controller, entries: number, cdw11: number, iova: number): Failure {
  if (entries < 2 || entries > maxQueueEntries) return wrongSize;
  if ((cdw11 & 1) === 0) return notContiguous; // CAP.CQR is set
  return iova % controller.pageBytes === 0 ? Status.success : wrongAddress;
}

/** How many vectors a queue may choose from: those of the mechanism that the driver has switched on. */
function vectors(controller: Controller): number {
  const { interrupt } = controller.host;
  if (interrupt.mode === 'intx') return 1;
  return interrupt.mode === 'msi' ? interrupt.vectors : queueCount;
}

/** Delete I/O Completion Queue (5.6). */
export function deleteCompletionQueue(controller: Controller, command: Command): boolean {
  const id = command.sqe.cdw10 & 0xffff;
  const queue = controller.queues.completion[id];
  if (id === 0 || queue === undefined || (command.step === 0 && !queue.created)) return command.fail(wrongId);
  if (queue.users > 0) return command.fail(stillUsed);
  command.step = 1;
  queue.delete();
  controller.queues.update();
  controller.interrupts.consumed(queue.vector);
  controller.interrupts.update();
  return true;
}

/** Delete I/O Submission Queue (5.7): answers when the commands in flight have ended. What was not fetched is dropped, and what waits for limits aborted. */
export function deleteSubmissionQueue(controller: Controller, command: Command): boolean {
  const id = command.sqe.cdw10 & 0xffff;
  const queue = controller.queues.submission[id];
  if (command.step === 0) {
    if (id === 0 || queue === undefined || !queue.created || queue.deleting) return command.fail(wrongId);
    queue.rows.deleting[id] = 1;
    command.step = 1;
    controller.processor.refuseLimited(queue, Status.abortedSqDeletion);
  }
  return finishDeletion(controller, command, queue!);
}

function finishDeletion(controller: Controller, command: Command, queue: SubmissionQueue): boolean {
  if (queue.inFlight > 0) {
    queue.deletion = command;
    return controller.processor.park(command);
  }
  queue.deletion = null;
  queue.delete();
  controller.queues.update();
  return true;
}

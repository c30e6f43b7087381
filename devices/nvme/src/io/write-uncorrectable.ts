import { admissionPending, admit } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import type { Controller } from '../controller.ts';
import { doNotRetry, type Failure, Status } from '../status.ts';
import { checkWritable, enterBlocks } from './blocks.ts';

// Blocks that are marked, and what the other commands make of them (NVM Command Set 1.0, 3.2.7): reading them fails without the drive, a write (Write,
// Write Zeroes, Copy) takes the mark off. Deallocating is no write, and takes none off.

/** The next try would find the same mark. */
const marked: Failure = Status.unrecoveredRead | doNotRetry;

const Step = { check: 0, saving: 1 } as const;

/** Write Uncorrectable (3.2.7): marks blocks, durably where notes last beside the drive. The data stays as it is. WUSL is 0. */
export function writeUncorrectable(controller: Controller, command: Command): boolean {
  if (command.step === Step.check) {
    let failure = enterBlocks(controller, command);
    if (failure === Status.success) failure = checkWritable(controller, command);
    if (failure === Status.success) failure = admit(controller, command, 1, 0);
    if (failure === admissionPending) return false;
    if (failure !== Status.success) return command.fail(failure);
    const { uncorrectable, lbaBytes } = command.namespace!;
    const begin = command.slba * lbaBytes;
    // More ranges than there is room for: an operator's limit, and writing some of them makes room.
    if (!uncorrectable.mark(begin, begin + command.blocks * lbaBytes)) return command.fail(Status.internalError);
    command.step = Step.saving;
    // Where it cannot be saved the mark stays, as long as the process: the blocks are not what was asked for, but not good either.
    return waitUntilSaved(controller, command, null);
  }
  return command.request.error === 0 || command.fail(Status.writeFault);
}

/** Whether the blocks of SLBA and NLB can be read. */
export function checkReadable(_controller: Controller, command: Command): Failure {
  return command.namespace!.uncorrectable.count === 0
    ? Status.success
    : checkBlocks(command, command.slba, command.blocks);
}

/** The same for other blocks. */
export function checkBlocks(command: Command, lba: number, blocks: number): Failure {
  const { uncorrectable, lbaBytes } = command.namespace!;
  if (uncorrectable.count === 0) return Status.success;
  const at = uncorrectable.find(lba * lbaBytes, (lba + blocks) * lbaBytes);
  if (at < 0) return Status.success;
  command.lba = Math.floor(at / lbaBytes);
  return marked;
}

/** A command is about to write `blocks` from SLBA on: whether there are marks to be cleared after (`clearsMarks`). */
export function findMarks(command: Command, blocks: number): void {
  const { uncorrectable, lbaBytes } = command.namespace!;
  if (uncorrectable.count === 0) return;
  const begin = command.slba * lbaBytes;
  command.clearsMarks = uncorrectable.find(begin, begin + blocks * lbaBytes) >= 0;
}

/**
 * `blocks` from SLBA on have been written, durably if they were marked: takes the marks off. True when that is durable as well, or when the
 * command has failed; its step is `clearing` while it waits.
 */
export function clearMarks(controller: Controller, command: Command, blocks: number, clearing: number): boolean {
  if (!command.clearsMarks) return true;
  if (command.step === clearing) return command.request.error === 0 || command.fail(Status.writeFault);
  command.step = clearing;
  const { uncorrectable, lbaBytes } = command.namespace!;
  const begin = command.slba * lbaBytes;
  const were = uncorrectable.unmark(begin, begin + blocks * lbaBytes);
  return were === null ? command.fail(Status.writeFault) : waitUntilSaved(controller, command, were);
}

/** Resumes the command when what is marked is durable, with `request.error`. Always false. @param were marks to put back where it cannot be. */
function waitUntilSaved(controller: Controller, command: Command, were: [number, number][] | null): false {
  const { uncorrectable, backend } = command.namespace!;
  uncorrectable.save().then(
    () => {
      command.request.error = 0;
      command.resume();
    },
    (error: Error) => {
      controller.host.log.error({ drive: backend.description }, `blocks marked uncorrectable: ${error.message}`);
      for (const [begin, end] of were ?? []) uncorrectable.mark(begin, end);
      command.request.error = 1;
      command.resume();
    },
  );
  return false;
}

import { admissionPending, admit, operationsOf } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import { makeSink } from '../command/drive-memory.ts';
import type { Controller } from '../controller.ts';
import { turnBytes, verifyPieceBytes } from '../limits.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { blockBytes, check, enterBlocks, forcesUnitAccess, goOnLater, startAt } from './blocks.ts';
import { beginCommit, endCommit } from './flush.ts';
import { checkReadable } from './write-uncorrectable.ts';

const Step = { check: 0, committing: 1, next: 2, atDrive: 3 } as const;

/** PRINFO.PRACT, which is not for Verify (NVM Command Set 1.0, figure 55). */
const protectionAction = 1 << 29;
const wrongAction = mistake(Status.invalidField, Field.cdw12 + 3, 5);

/**
 * Verify (NVM Command Set 1.0, 3.2.5): reads the blocks and drops them. As many as can be said, since no data is transferred (VSL is 0): piece by
 * piece, `command.cursor` is the blocks that are done.
 */
export function verify(controller: Controller, command: Command): boolean {
  if (command.step === Step.check) {
    const failure = checkVerify(controller, command);
    if (failure === admissionPending) return false;
    if (failure !== Status.success) return command.fail(failure);
    command.step = Step.committing;
    if (!beginCommit(command, forcesUnitAccess(command))) return false;
  }
  if (command.step === Step.committing) {
    if (!endCommit(controller, command, forcesUnitAccess(command))) return true;
    command.step = Step.next;
  }
  return readPieces(controller, command);
}

function checkVerify(controller: Controller, command: Command): Failure {
  const failure = enterBlocks(controller, command);
  if (failure !== Status.success) return failure;
  if ((command.words[12]! & protectionAction) !== 0) return wrongAction;
  const marked = checkReadable(controller, command);
  if (marked !== Status.success) return marked;
  const lengthBytes = blockBytes(command);
  return admit(controller, command, operationsOf(lengthBytes), lengthBytes);
}

function readPieces(controller: Controller, command: Command): boolean {
  const { lbaBytes } = command.namespace!;
  const pieceBlocks = verifyPieceBytes / lbaBytes;
  for (let readBytes = 0; ; ) {
    if (command.step === Step.atDrive) {
      if (!check(controller, command, 'read')) return true;
      command.cursor = Math.min(command.cursor + pieceBlocks, command.blocks);
      command.step = Step.next;
    }
    command.readBytes = command.cursor * lbaBytes;
    if (command.cursor === command.blocks) return true;
    if (readBytes >= turnBytes) return goOnLater(controller, command);
    const lengthBytes = Math.min(pieceBlocks, command.blocks - command.cursor) * lbaBytes;
    readBytes += lengthBytes;
    if (!makeSink(command, lengthBytes)) return command.fail(Status.internalError);
    command.step = Step.atDrive;
    command.lba = command.slba + command.cursor;
    command.request.segments = command.drive.segments;
    if (!startAt(command, command.lba, 'read', lengthBytes, false)) return false;
  }
}

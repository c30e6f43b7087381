import { admissionPending, admit, operationsOf } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import type { Controller } from '../controller.ts';
import { type Failure, Status } from '../status.ts';
import {
  blockBytes,
  check,
  checkDirective,
  checkWritable,
  ended,
  enterBlocks,
  fetchBlocks,
  fetched,
  forcesUnitAccess,
  locateBlocks,
  located,
  start,
} from './blocks.ts';
import { beginCommit, endCommit } from './flush.ts';
import { checkReadable, clearMarks, findMarks } from './write-uncorrectable.ts';

/** Of Read. */
const Step = { located, committing: located + 1, atDrive: located + 2, moving: located + 3 } as const;
/** Of Write and Write Zeroes. */
const WriteStep = { fetched, atDrive: fetched + 1, clearing: fetched + 2 } as const;

/** Dword 12 of Write Zeroes: DEAC. */
const deallocate = 1 << 25;

/** Read (NVM 1.0, 3.2.4). */
export function read(controller: Controller, command: Command): boolean {
  if (command.step < Step.located && !locateBlocks(controller, command, 'toGuest', checkReadable)) {
    return command.step === ended;
  }
  if (command.step === Step.located) {
    command.step = Step.committing;
    if (!beginCommit(command, forcesUnitAccess(command))) return false;
  }
  if (command.step === Step.committing) {
    if (!endCommit(controller, command, forcesUnitAccess(command))) return true;
    command.step = Step.atDrive;
    command.request.segments = command.data.segments;
    if (!start(command, 'read', command.data.lengthBytes, false)) return false;
  }
  if (command.step === Step.atDrive) {
    if (!check(controller, command, 'read')) return true;
    command.step = Step.moving;
  }
  const result = command.data.flush(command);
  if (result === 'pending') return false;
  if (result === 'fault') return command.fail(Status.dataTransferError);
  command.readBytes = command.data.lengthBytes;
  return true;
}

/** Write (3.2.6). */
export function write(controller: Controller, command: Command): boolean {
  if (command.step < WriteStep.fetched && !fetchBlocks(controller, command, checkWrite)) return command.step === ended;
  if (command.step === WriteStep.fetched) {
    command.step = WriteStep.atDrive;
    if (!startWrite(controller, command)) return false;
  }
  if (command.step === WriteStep.atDrive) {
    if (!check(controller, command, 'write')) return true;
    command.writtenBytes = command.data.lengthBytes;
  }
  return clearMarks(controller, command, command.blocks, WriteStep.clearing);
}

export function checkWrite(controller: Controller, command: Command): Failure {
  const failure = checkDirective(command);
  return failure === Status.success ? checkWritable(controller, command) : failure;
}

/** Hands the data that was fetched on to the drive. True when it is done already. */
export function startWrite(controller: Controller, command: Command): boolean {
  findMarks(command, command.blocks);
  command.request.segments = command.data.segments;
  return start(command, 'write', command.data.lengthBytes, controller.volatileWrites.begin(command));
}

/** Write Zeroes (3.2.8): as many blocks as can be said, since no data is transferred (WZSL is 0). */
export function writeZeroes(controller: Controller, command: Command): boolean {
  if (command.step === 0) {
    let failure = enterBlocks(controller, command);
    if (failure === Status.success) failure = checkWritable(controller, command);
    if (failure === Status.success) failure = admitZeroes(controller, command);
    if (failure === admissionPending) return false;
    if (failure !== Status.success) return command.fail(failure);
    command.step = WriteStep.atDrive;
    findMarks(command, command.blocks);
    const { geometry } = command.namespace!.backend;
    command.request.mayDeallocate = (command.words[12]! & deallocate) !== 0 && geometry.discardReadsZeroes;
    command.request.segments = null;
    if (!start(command, 'writeZeroes', blockBytes(command), controller.volatileWrites.begin(command))) return false;
  }
  if (command.step === WriteStep.atDrive && !check(controller, command, 'writeZeroes')) return true;
  return clearMarks(controller, command, command.blocks, WriteStep.clearing);
}

/** As if it were written: a drive that cannot make holes does just that. */
function admitZeroes(controller: Controller, command: Command): Failure {
  const lengthBytes = blockBytes(command);
  return admit(controller, command, operationsOf(lengthBytes), lengthBytes);
}

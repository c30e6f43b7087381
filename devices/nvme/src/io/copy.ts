import { admissionPending, admit, operationsOf } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import { makeBuffer } from '../command/drive-memory.ts';
import { receive, transferred } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { copyBytes, copyPieceBytes, copyRanges, turnBytes } from '../limits.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { check, checkDirective, checkWritable, enterNamespace, goOnLater, startAt } from './blocks.ts';
import { checkBlocks, clearMarks, findMarks } from './write-uncorrectable.ts';

/** Steps after those of `receive`. */
const Step = {
  holding: transferred + 1,
  next: transferred + 2,
  reading: transferred + 3,
  writing: transferred + 4,
  clearing: transferred + 5,
} as const;

/** Bytes of a source range entry, by descriptor format (NVM Command Set 1.0, figures 34 and 35). What they say beyond the blocks is for protection information. */
const entryBytes = [32, 40] as const;
/** OCFS: formats 0 and 1. Without protection information in a namespace each may be used with it. */
export const copyFormats = 0b11;

const wrongFormat = mistake(Status.invalidField, Field.cdw12 + 1);
const tooManyRanges = mistake(Status.commandSizeLimitExceeded, Field.cdw12);
const outOfRange = mistake(Status.lbaOutOfRange, Field.cdw10);

/** Most blocks of one range (MSSRL, 16 bits) and of all together (MCL). */
export function copyLimits(namespace: Namespace): { mssrl: number; mcl: number } {
  const mcl = copyBytes / namespace.lbaBytes;
  return { mssrl: Math.min(mcl, 0xffff), mcl };
}

/** The blocks that are copied next: of which range, and from where. Filled in by `findPiece`, and used at once. */
const piece = { range: 0, lba: 0, blocks: 0 };

/**
 * Copy (NVM Command Set 1.0, 3.2.2): ranges one after the other, piece by piece through memory of ours, while it has the destination alone.
 * `command.cursor` is the blocks that are done, from where a successor goes on. Sources that overlap with the destination are as they are at that time.
 */
export function copy(controller: Controller, command: Command): boolean {
  if (command.namespace === null) {
    const failure = checkCommand(controller, command);
    if (failure !== Status.success) return command.fail(failure);
  }
  if (command.step < transferred) {
    if (!receive(controller, command, rangeCount(command) * entrySize(command))) return false;
    if (command.status !== Status.success) return true;
  }
  if (command.step === transferred) {
    let failure = checkRanges(command);
    if (failure === Status.success) failure = admitBlocks(controller, command);
    if (failure === admissionPending) return false;
    if (failure !== Status.success) return command.fail(failure);
    command.step = Step.holding;
    const { lbaBytes } = command.namespace!;
    if (!command.takeRange(command.slba * lbaBytes, totalBlocks(command) * lbaBytes)) return false;
  }
  if (command.step === Step.holding) {
    const { rangeError } = command;
    if (rangeError !== 0) return command.fail(controller.health.driveError('write', rangeError));
    findMarks(command, totalBlocks(command));
    command.step = Step.next;
  }
  if (command.step !== Step.clearing && !copyPieces(controller, command)) return false;
  if (command.status !== Status.success) return true;
  command.letRangeGo();
  return clearMarks(controller, command, totalBlocks(command), Step.clearing);
}

function checkCommand(controller: Controller, command: Command): Failure {
  const failure = enterNamespace(controller, command);
  if (failure !== Status.success) return failure;
  if (format(command) >= entryBytes.length) return wrongFormat;
  if (rangeCount(command) > copyRanges) return tooManyRanges;
  const wrong = checkDirective(command);
  return wrong === Status.success ? checkWritable(controller, command) : wrong;
}

/** What is wrong with the ranges, before anything is copied: dword 0 of the completion is 0. */
function checkRanges(command: Command): Failure {
  const namespace = command.namespace!;
  const { mssrl, mcl } = copyLimits(namespace);
  const total = totalBlocks(command);
  if (total > mcl) return Status.commandSizeLimitExceeded;
  for (let index = 0; index < rangeCount(command); index++) {
    const blocks = sourceBlocks(command, index);
    command.lba = sourceLba(command, index);
    if (blocks > mssrl) return Status.commandSizeLimitExceeded;
    if (!namespace.contains(command.lba, blocks)) return Status.lbaOutOfRange;
  }
  command.lba = command.slba;
  return namespace.contains(command.slba, total) ? Status.success : outOfRange;
}

/** All of it is read, and written. Before it has its range: nobody waits for limits while others wait for a range. */
function admitBlocks(controller: Controller, command: Command): Failure {
  const lengthBytes = totalBlocks(command) * command.namespace!.lbaBytes;
  return admit(controller, command, 2 * operationsOf(lengthBytes), 2 * lengthBytes);
}

/** True when all is copied, or when the command has failed. */
function copyPieces(controller: Controller, command: Command): boolean {
  const { lbaBytes } = command.namespace!;
  const { request } = command;
  for (let movedBytes = 0; ; ) {
    if (command.step === Step.writing) {
      if (!check(controller, command, 'write')) return stop(command);
      findPiece(command);
      command.cursor += piece.blocks;
      command.step = Step.next;
    }
    const found = findPiece(command);
    command.writtenBytes = command.cursor * lbaBytes;
    if (!found) return true;
    const lengthBytes = piece.blocks * lbaBytes;
    if (command.step === Step.next) {
      if (movedBytes >= turnBytes) return goOnLater(controller, command);
      movedBytes += lengthBytes;
      command.lba = piece.lba;
      const failure = checkBlocks(command, piece.lba, piece.blocks);
      if (failure !== Status.success) return command.fail(failure) && stop(command);
      if (!makeBuffer(command, lengthBytes)) return command.fail(Status.internalError) && stop(command);
      command.step = Step.reading;
      request.segments = command.drive.segments;
      if (!startAt(command, piece.lba, 'read', lengthBytes, false)) return false;
    }
    if (!check(controller, command, 'read')) return stop(command);
    command.step = Step.writing;
    command.lba = command.slba + command.cursor;
    if (!startAt(command, command.lba, 'write', lengthBytes, controller.volatileWrites.begin(command))) return false;
  }
}

/** It has failed: dword 0 is the first range that is not copied as a whole (3.2.2.1). */
function stop(command: Command): true {
  findPiece(command);
  command.result = piece.range;
  return true;
}

/** The piece that begins at `command.cursor`. False when there is none left. */
function findPiece(command: Command): boolean {
  let done = command.cursor;
  for (let index = 0; index < rangeCount(command); index++) {
    const blocks = sourceBlocks(command, index);
    if (done < blocks) {
      piece.range = index;
      piece.lba = sourceLba(command, index) + done;
      piece.blocks = Math.min(blocks - done, copyPieceBytes / command.namespace!.lbaBytes);
      return true;
    }
    done -= blocks;
  }
  return false;
}

/** Dword 12 (figure 30). */
function rangeCount(command: Command): number {
  return (command.words[12]! & 0xff) + 1;
}
function format(command: Command): number {
  return (command.words[12]! >>> 8) & 0xf;
}

function entrySize(command: Command): number {
  return entryBytes[format(command)]!;
}

/** The entries, as they were fetched. */
function sourceLba(command: Command, index: number): number {
  const word = (index * entrySize(command) + 8) / 4;
  const { words } = command.payload;
  return (words[word]! >>> 0) + (words[word + 1]! >>> 0) * 0x1_0000_0000;
}
function sourceBlocks(command: Command, index: number): number {
  return (command.payload.words[(index * entrySize(command) + 16) / 4]! & 0xffff) + 1;
}

function totalBlocks(command: Command): number {
  let total = 0;
  for (let index = 0; index < rangeCount(command); index++) total += sourceBlocks(command, index);
  return total;
}

import type { Segments } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { makeBuffer } from '../command/drive-memory.ts';
import type { Controller } from '../controller.ts';
import { comparePieceBytes } from '../limits.ts';
import { Status } from '../status.ts';
import { check, ended, fetchBlocks, fetched, forcesUnitAccess, startAt } from './blocks.ts';
import { beginCommit, endCommit } from './flush.ts';
import { checkReadable } from './write-uncorrectable.ts';

const Step = { fetched, committing: fetched + 1, next: fetched + 2, atDrive: fetched + 3 } as const;

/**
 * Compare (NVM Command Set 1.0, 3.2.1): the guest's data against the drive's, which is read into memory of ours piece by piece: `command.cursor` is the
 * blocks that are done.
 */
export function compare(controller: Controller, command: Command): boolean {
  if (command.step < Step.fetched && !fetchBlocks(controller, command, checkReadable)) return command.step === ended;
  const forced = forcesUnitAccess(command);
  if (command.step === Step.fetched) {
    command.step = Step.committing;
    if (!beginCommit(command, forced)) return false;
  }
  if (command.step === Step.committing) {
    if (!endCommit(controller, command, forced)) return true;
    command.step = Step.next;
  }
  return comparePieces(controller, command);
}

function comparePieces(controller: Controller, command: Command): boolean {
  const { data, drive } = command;
  const { lbaBytes } = command.namespace!;
  const pieceBlocks = comparePieceBytes / lbaBytes;
  for (;;) {
    if (command.step === Step.atDrive) {
      if (!check(controller, command, 'read')) return true;
      if (!isEqual(data.segments, drive.segments, command.cursor * lbaBytes)) {
        command.readBytes = data.lengthBytes;
        return command.fail(Status.compareFailure);
      }
      command.cursor = Math.min(command.cursor + pieceBlocks, command.blocks);
      command.step = Step.next;
    }
    if (command.cursor === command.blocks) {
      command.readBytes = data.lengthBytes;
      return true;
    }
    const lengthBytes = Math.min(pieceBlocks, command.blocks - command.cursor) * lbaBytes;
    if (!makeBuffer(command, lengthBytes)) return command.fail(Status.internalError);
    command.step = Step.atDrive;
    command.request.segments = drive.segments;
    if (!startAt(command, command.slba + command.cursor, 'read', lengthBytes, false)) return false;
  }
}

/** Whether all of `b` is in `a` from an offset on. */
export function isEqual(a: Segments, b: Segments, offset = 0): boolean {
  let left = Math.min(a.lengthBytes - offset, b.lengthBytes);
  let [i, j, inA, inB] = [0, 0, offset, 0];
  for (; left > 0 && inA >= a.length[i]!; i++) inA -= a.length[i]!;
  while (left > 0) {
    const count = Math.min(a.length[i]! - inA, b.length[j]! - inB);
    const [beginA, beginB] = [a.offset[i]! + inA, b.offset[j]! + inB];
    const pieceA = a.area[i]!.bytes.subarray(beginA, beginA + count);
    const pieceB = b.area[j]!.bytes.subarray(beginB, beginB + count);
    if (Buffer.compare(pieceA, pieceB) !== 0) return false;
    left -= count;
    inA += count;
    inB += count;
    if (inA === a.length[i]) [i, inA] = [i + 1, 0];
    if (inB === b.length[j]) [j, inB] = [j + 1, 0];
  }
  return true;
}

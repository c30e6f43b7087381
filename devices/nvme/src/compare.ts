import type { Segments } from '@sidecard/core';
import { check, ended, fetchBlocks, fetched, forcesUnitAccess, start } from './blocks.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import { makeBuffer } from './drive-memory.ts';
import { beginCommit, endCommit } from './flush.ts';
import { Status } from './status.ts';
import { checkReadable } from './write-uncorrectable.ts';

const Step = { fetched, committing: fetched + 1, atDrive: fetched + 2 } as const;

/** Compare (NVM Command Set 1.0, 3.2.1): the guest's data against the drive's, which is read into memory of ours. */
export function compare(controller: Controller, command: Command): boolean {
  if (command.step < Step.fetched && !fetchBlocks(controller, command, checkReadable)) return command.step === ended;
  const { data, drive } = command;
  const forced = forcesUnitAccess(command);
  if (command.step === Step.fetched) {
    command.step = Step.committing;
    if (!beginCommit(command, forced)) return false;
  }
  if (command.step === Step.committing) {
    if (!endCommit(controller, command, forced)) return true;
    if (!makeBuffer(command, data.lengthBytes)) return command.fail(Status.internalError);
    command.step = Step.atDrive;
    command.request.segments = drive.segments;
    if (!start(command, 'read', data.lengthBytes, false)) return false;
  }
  if (!check(controller, command, 'read')) return true;
  command.readBytes = data.lengthBytes;
  return isEqual(data.segments, drive.segments) || command.fail(Status.compareFailure);
}

export function isEqual(a: Segments, b: Segments): boolean {
  let left = Math.min(a.lengthBytes, b.lengthBytes);
  let [i, j, inA, inB] = [0, 0, 0, 0];
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

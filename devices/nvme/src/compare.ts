import type { Segments } from '@sidecard/core';
import { check, ended, locateBlocks, located, start } from './blocks.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import { Status } from './status.ts';

const Step = { fetch: located, atDrive: located + 1 } as const;

/** Compare (NVM Command Set 1.0, 3.2.2): the guest's data against the drive's, which is read into memory of ours. */
export function compare(controller: Controller, command: Command): boolean {
  if (command.step < Step.fetch && !locateBlocks(controller, command, 'toDevice', null)) return command.step === ended;
  const { data, drive } = command;
  if (command.step === Step.fetch) {
    const fetched = data.fetch(command);
    if (fetched === 'pending') return false;
    if (fetched === 'fault') return command.fail(Status.dataTransferError);
    drive.begin('toGuest');
    command.holdsDrive = true;
    if (!drive.addBuffer(data.lengthBytes)) return command.fail(Status.internalError);
    command.step = Step.atDrive;
    command.request.segments = drive.segments;
    if (!start(command, command.namespace!, 'read', data.lengthBytes, false)) return false;
  }
  if (!check(controller, command, 'read')) return true;
  controller.health.read(data.lengthBytes);
  return isEqual(data.segments, drive.segments) || command.fail(Status.compareFailure);
}

function isEqual(a: Segments, b: Segments): boolean {
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

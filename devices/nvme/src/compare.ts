import type { Segments } from '@sidecard/core';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import { check, checkRange, start } from './io.ts';
import { maxTransferBytes } from './limits.ts';
import { walkPending } from './prp.ts';
import { Status, type StatusCode } from './status.ts';
import { beginPages, walkPages } from './transfer.ts';

const Step = { check: 0, walk: 1, fetch: 2, atDrive: 3, ended: 4 } as const;

/** Compare (NVM Command Set 1.0, 3.2.2): the guest's data against the drive's, which is read into memory of ours. */
export function compare(controller: Controller, command: Command): boolean {
  if (command.step < Step.fetch && !locate(controller, command)) return command.step === Step.ended;
  const namespace = controller.namespaces[command.nsid - 1]!;
  const { data, drive } = command;
  if (command.step === Step.fetch) {
    const fetched = data.fetch(command);
    if (fetched === 'pending') return false;
    if (fetched === 'fault') return command.fail(Status.dataTransferError);
    drive.begin('toGuest');
    command.holdsDrive = true;
    if (!drive.addBitBucket(data.lengthBytes)) return command.fail(Status.internalError);
    command.step = Step.atDrive;
    command.request.segments = drive.segments;
    if (!start(command, namespace, 'read', data.lengthBytes, false)) return false;
  }
  if (!check(controller, command, 'read')) return true;
  controller.health.read(data.lengthBytes);
  return isEqual(data.segments, drive.segments) || command.fail(Status.compareFailure);
}

function locate(controller: Controller, command: Command): boolean {
  let status: StatusCode | typeof walkPending = walkPending;
  if (command.step === Step.check) {
    command.step = Step.walk;
    status = checkRange(controller, command);
    if (status === Status.success) {
      const lengthBytes = command.blocks * controller.namespaces[command.nsid - 1]!.lbaBytes;
      status =
        lengthBytes > maxTransferBytes ? Status.invalidField : beginPages(controller, command, 'toDevice', lengthBytes);
    }
  }
  if (status === walkPending) status = walkPages(controller, command);
  if (status === walkPending) return false;
  if (status === Status.success) {
    command.step = Step.fetch;
    return true;
  }
  command.fail(status);
  command.step = Step.ended;
  return false;
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

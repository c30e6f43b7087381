import type { DmaDirection, HostBuffer, Segments } from '@sidecard/core';
import type { Controller } from '../controller.ts';
import { maxTransferBytes } from '../limits.ts';
import { type Failure, Status, walkPending } from '../status.ts';
import type { Command } from './command.ts';

/** Begins the command's data: all of it is found, or `walkData` is to go on (`walkPending`). */
export function beginData(
  controller: Controller,
  command: Command,
  direction: DmaDirection,
  lengthBytes: number,
): Failure {
  command.data.begin(direction);
  command.holdsData = true;
  if (command.usesSgl) return command.sgl.begin(command.data, command.words, direction, lengthBytes);
  return command.prp.begin(command.data, command.words, lengthBytes, controller.pageBytes);
}

/** Goes on finding it, until it answers something else than pending. */
export function walkData(controller: Controller, command: Command): Failure {
  const { memory } = controller.host;
  if (command.usesSgl) return command.sgl.walk(command, memory, command.data);
  return command.prp.walk(command, memory, command.data, controller.pageBytes);
}

/** Steps of `send` and `receive`; a handler's own steps begin at `transferred`. */
const Step = { begin: 0, walk: 1, copy: 2, move: 3 } as const;
export const transferred = 4;

/**
 * Hands `lengthBytes` to the guest: what `source` has, and zeroes beyond. Ends the command: to be called as the last thing of a handler,
 * with what it answers.
 */
export function send(controller: Controller, command: Command, source: HostBuffer, lengthBytes: number): boolean {
  if (command.step < Step.copy && !locate(controller, command, 'toGuest', lengthBytes))
    return command.step === transferred;
  if (command.step === Step.copy) {
    copyOut(source, command.data.segments);
    command.step = Step.move;
  }
  const result = command.data.flush(command);
  if (result === 'pending') return false;
  if (result === 'fault') return command.fail(Status.dataTransferError);
  return true;
}

/**
 * Brings `lengthBytes` of the guest, at most two pages, to `command.payload`. True when the command has failed, or when it is done and its step is
 * `transferred`; false while it is under way.
 */
export function receive(controller: Controller, command: Command, lengthBytes: number): boolean {
  if (command.step < Step.copy && !locate(controller, command, 'toDevice', lengthBytes))
    return command.step === transferred;
  const result = command.data.fetch(command);
  if (result === 'pending') return false;
  if (result === 'fault') return command.fail(Status.dataTransferError);
  copyIn(command.data.segments, command.payload);
  command.holdsData = false;
  command.data.release();
  command.step = transferred;
  return true;
}

/** True when the pages are there; else the command waits, or has failed (and its step is `transferred`). */
function locate(controller: Controller, command: Command, direction: DmaDirection, lengthBytes: number): boolean {
  let failure: Failure = walkPending;
  if (command.step === Step.begin) {
    if (lengthBytes > maxTransferBytes) failure = Status.invalidField;
    else failure = beginData(controller, command, direction, lengthBytes);
    command.step = Step.walk;
  }
  if (failure === walkPending) failure = walkData(controller, command);
  if (failure === walkPending) return false;
  if (failure !== Status.success) {
    command.fail(failure);
    command.step = transferred;
    return false;
  }
  command.step = Step.copy;
  return true;
}

/** Copies `source` to the pieces, and zeroes to what is left of them. */
function copyOut(source: HostBuffer, segments: Segments): void {
  let position = 0;
  for (let index = 0; index < segments.count; index++) {
    const area = segments.area[index]!.bytes;
    const begin = segments.offset[index]!;
    const lengthBytes = segments.length[index]!;
    const copied = Math.max(0, Math.min(lengthBytes, source.lengthBytes - position));
    area.set(source.bytes.subarray(position, position + copied), begin);
    area.fill(0, begin + copied, begin + lengthBytes);
    position += lengthBytes;
  }
}

function copyIn(segments: Segments, target: HostBuffer): void {
  let position = 0;
  for (let index = 0; index < segments.count; index++) {
    const begin = segments.offset[index]!;
    const lengthBytes = Math.min(segments.length[index]!, target.lengthBytes - position);
    target.bytes.set(segments.area[index]!.bytes.subarray(begin, begin + lengthBytes), position);
    position += lengthBytes;
  }
}

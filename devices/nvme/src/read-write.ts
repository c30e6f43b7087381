import {
  blockBytes,
  check,
  checkWritable,
  ended,
  enterBlocks,
  isDurable,
  locateBlocks,
  located,
  start,
} from './blocks.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import { type Failure, Field, mistake, Status } from './status.ts';

const Step = { located, atDrive: located + 1, moving: located + 2 } as const;

/** Dword 12 of Write Zeroes: DEAC. Of Write: a directive, and nobody has enabled one. */
const deallocate = 1 << 25;
const directiveType = 0xf << 20;
const wrongDirective = mistake(Status.invalidField, Field.cdw12 + 2, 4);

/** Read (NVM 1.0, 3.2.4). FUA is met: what is read is what would be read after a loss of power, or newer. */
export function read(controller: Controller, command: Command): boolean {
  if (command.step < Step.located && !locateBlocks(controller, command, 'toGuest', null)) return command.step === ended;
  if (command.step === Step.located) {
    command.step = Step.atDrive;
    command.request.segments = command.data.segments;
    if (!start(command, command.namespace!, 'read', command.data.lengthBytes, false)) return false;
  }
  if (command.step === Step.atDrive) {
    if (!check(controller, command, 'read')) return true;
    command.step = Step.moving;
  }
  const result = command.data.flush(command);
  if (result === 'pending') return false;
  if (result === 'fault') return command.fail(Status.dataTransferError);
  controller.health.read(command.data.lengthBytes);
  return true;
}

/** Write (3.2.6). */
export function write(controller: Controller, command: Command): boolean {
  if (command.step < Step.located && !locateBlocks(controller, command, 'toDevice', checkWrite)) {
    return command.step === ended;
  }
  if (command.step === Step.located) {
    const fetched = command.data.fetch(command);
    if (fetched === 'pending') return false;
    if (fetched === 'fault') return command.fail(Status.dataTransferError);
    command.step = Step.atDrive;
    command.request.segments = command.data.segments;
    const durable = isDurable(controller, command);
    if (!start(command, command.namespace!, 'write', command.data.lengthBytes, durable)) return false;
  }
  if (check(controller, command, 'write')) controller.health.written(command.data.lengthBytes);
  return true;
}

function checkWrite(controller: Controller, command: Command): Failure {
  return (command.words[12]! & directiveType) !== 0 ? wrongDirective : checkWritable(controller, command);
}

/** Write Zeroes (3.2.7): as many blocks as can be said, since no data is transferred. */
export function writeZeroes(controller: Controller, command: Command): boolean {
  if (command.step === 0) {
    let failure = enterBlocks(controller, command);
    if (failure === Status.success) failure = checkWritable(controller, command);
    if (failure !== Status.success) return command.fail(failure);
    command.step = Step.atDrive;
    const namespace = command.namespace!;
    command.request.mayDeallocate =
      (command.words[12]! & deallocate) !== 0 && namespace.backend.geometry.discardReadsZeroes;
    command.request.segments = null;
    if (!start(command, namespace, 'writeZeroes', blockBytes(command), isDurable(controller, command))) return false;
  }
  check(controller, command, 'writeZeroes');
  return true;
}

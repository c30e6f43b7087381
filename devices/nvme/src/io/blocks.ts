import type { BlockOperation } from '@sidecard/block';
import type { DmaDirection } from '@sidecard/core';
import { admissionPending, admit } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import { beginData, walkData } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { maxTransferBytes } from '../limits.ts';
import { type Failure, Field, mistake, Status, walkPending } from '../status.ts';

// What the commands on logical blocks share (NVM Command Set 1.0, 3.2).

/** Dword 12: FUA, where the command has it. LR, DSM and, without protection information, PRINFO and STC change nothing here. */
const forceUnitAccess = 1 << 30;
/** Dword 12 of commands that write data: a directive, and nobody has enabled one (NVMe Base 2.0, 8.7). */
const directiveType = 0xf << 20;

const outOfRange = mistake(Status.lbaOutOfRange, Field.cdw10);
const tooLong = mistake(Status.invalidField, Field.cdw12);
const writeProtected = mistake(Status.namespaceWriteProtected, Field.nsid);
const wrongDirective = mistake(Status.invalidField, Field.cdw12 + 2, 4);

/** Finds the namespace of the command, which is the command's until it ends (`command.namespace`). */
export function enterNamespace(controller: Controller, command: Command): Failure {
  const namespace = controller.namespaces.active(command.nsid);
  if (namespace === null) return controller.namespaces.missing(command.nsid);
  if (namespace.unavailable !== Status.success) return namespace.unavailable;
  namespace.enter();
  command.namespace = namespace;
  return Status.success;
}

/** The namespace is there, and has the blocks of SLBA and NLB. */
export function enterBlocks(controller: Controller, command: Command): Failure {
  const failure = enterNamespace(controller, command);
  if (failure !== Status.success) return failure;
  command.lba = command.slba;
  return command.namespace!.contains(command.slba, command.blocks) ? Status.success : outOfRange;
}

/** Bytes of the blocks of NLB, in the namespace that was entered. */
export function blockBytes(command: Command): number {
  return command.blocks * command.namespace!.lbaBytes;
}

/** A durable write on a drive whose flushes fail would only say that it is. */
export function checkWritable(controller: Controller, command: Command): Failure {
  const namespace = command.namespace!;
  if (namespace.readOnly) return writeProtected;
  return namespace.flushFailed && isDurable(controller, command) ? Status.writeFault : Status.success;
}

/** Directives of commands that have DTYPE. */
export function checkDirective(command: Command): Failure {
  return (command.words[12]! & directiveType) !== 0 ? wrongDirective : Status.success;
}

export function forcesUnitAccess(command: Command): boolean {
  return (command.words[12]! & forceUnitAccess) !== 0;
}

/** FUA, or every write while the guest has the cache turned off; and data that takes the place of blocks marked uncorrectable, before the mark goes. */
export function isDurable(controller: Controller, command: Command): boolean {
  return forcesUnitAccess(command) || command.clearsMarks || controller.features.writeThrough;
}

/** Steps of `locateBlocks`, for commands with NLB blocks of data; a handler's own steps begin at `located`. */
const Step = { check: 0, walk: 1 } as const;
export const located = 2;
/** The command has failed. */
export const ended = 9;

/**
 * Checks the command, and finds the guest's side of its data: then its step is `located`. False while that is under way (the
 * limits of the drive come first), or when the command has failed (its step is `ended`).
 * @param check what else may be wrong with it, before its data is looked at.
 */
export function locateBlocks(
  controller: Controller,
  command: Command,
  direction: DmaDirection,
  check: ((controller: Controller, command: Command) => Failure) | null,
): boolean {
  let failure: Failure = walkPending;
  if (command.step === Step.check) {
    failure = enterBlocks(controller, command);
    if (failure === Status.success) {
      const lengthBytes = blockBytes(command);
      if (lengthBytes > maxTransferBytes) failure = tooLong;
      else if (check !== null) failure = check(controller, command);
      // The first half of a fused operation asks for both: nobody waits for limits while the other half has its data.
      const halves = command.mate === null ? 1 : 2;
      if (failure === Status.success) failure = admit(controller, command, halves, halves * lengthBytes);
      if (failure === admissionPending) return false;
      if (failure === Status.success) failure = beginData(controller, command, direction, lengthBytes);
    }
    command.step = Step.walk;
  }
  if (failure === walkPending) failure = walkData(controller, command);
  if (failure === walkPending) return false;
  if (failure !== Status.success) {
    command.fail(failure);
    command.step = ended;
    return false;
  }
  command.step = located;
  return true;
}

/** The command's data is here. */
export const fetched = 3;

/**
 * As `locateBlocks`, of a command that brings data: also fetches it, and then its step is `fetched`.
 */
export function fetchBlocks(
  controller: Controller,
  command: Command,
  check: ((controller: Controller, command: Command) => Failure) | null,
): boolean {
  if (command.step < located && !locateBlocks(controller, command, 'toDevice', check)) return false;
  const result = command.data.fetch(command);
  if (result === 'pending') return false;
  if (result === 'fault') command.fail(Status.dataTransferError);
  command.step = result === 'fault' ? ended : fetched;
  return result !== 'fault';
}

/** Hands blocks from SLBA on to the drive. True when it is done already. */
export function start(command: Command, operation: BlockOperation, lengthBytes: number, fua: boolean): boolean {
  return startAt(command, command.slba, operation, lengthBytes, fua);
}

/** The same, from a block on. */
export function startAt(
  command: Command,
  lba: number,
  operation: BlockOperation,
  lengthBytes: number,
  fua: boolean,
): boolean {
  const { request } = command;
  const namespace = command.namespace!;
  request.operation = operation;
  request.offset = lba * namespace.lbaBytes;
  request.lengthBytes = lengthBytes;
  request.fua = fua;
  request.error = 0;
  return namespace.submit(request);
}

/** A drive that is done at once (memory) would keep everybody else for long: the command goes on when the others have had their turn. Always false. */
export function goOnLater(controller: Controller, command: Command): false {
  controller.host.defer(command.goOn);
  return false;
}

/** True when the drive has done it; else the command has failed. */
export function check(controller: Controller, command: Command, operation: BlockOperation): boolean {
  const { error } = command.request;
  if (error === 0) return true;
  command.fail(controller.health.driveError(operation, error));
  return false;
}

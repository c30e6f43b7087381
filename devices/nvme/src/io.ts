import type { BlockOperation } from '@sidecard/block';
import type { Command } from './command.ts';
import { IoOpcode } from './commands.ts';
import { compare } from './compare.ts';
import type { Controller } from './controller.ts';
import { manageDataset } from './dataset-management.ts';
import { flush } from './flush.ts';
import { maxTransferBytes } from './limits.ts';
import type { Namespace } from './namespace.ts';
import { changesBlocks, type OpcodeTable, opcodeTable } from './opcode.ts';
import { walkPending } from './prp.ts';
import { Status, type StatusCode } from './status.ts';
import { beginPages, walkPages } from './transfer.ts';

/** Opcodes of I/O queues (NVM Command Set 1.0, figure 21). ONCS says which of the optional ones there are. */
export const ioOpcodes: OpcodeTable = opcodeTable({
  [IoOpcode.flush]: { name: 'Flush', replay: 'again', effects: 0, run: flush },
  [IoOpcode.write]: { name: 'Write', replay: 'again', effects: changesBlocks, run: write },
  [IoOpcode.read]: { name: 'Read', replay: 'again', effects: 0, run: read },
  [IoOpcode.compare]: { name: 'Compare', replay: 'again', effects: 0, run: compare },
  [IoOpcode.writeZeroes]: { name: 'Write Zeroes', replay: 'again', effects: changesBlocks, run: writeZeroes },
  [IoOpcode.datasetManagement]: {
    name: 'Dataset Management',
    replay: 'again',
    effects: changesBlocks,
    run: manageDataset,
  },
});

const Step = { check: 0, walk: 1, located: 2, atDrive: 3, ended: 4 } as const;

/** Dword 12 of the commands with blocks: FUA, and of Write Zeroes DEAC; of Write a directive that nobody has enabled. */
const forceUnitAccess = 1 << 30;
const deallocate = 1 << 25;
const directiveType = 0xf << 20;

/** Read (NVM 1.0, 3.2.4). FUA is met: what is read is what would be read after a loss of power, or newer. */
function read(controller: Controller, command: Command): boolean {
  if (command.step < Step.located && !locate(controller, command, 'toGuest')) return command.step === Step.ended;
  const namespace = controller.namespaces[command.nsid - 1]!;
  if (command.step === Step.located) {
    command.step = Step.atDrive;
    if (!start(command, namespace, 'read', command.data.lengthBytes, false)) return false;
  }
  if (command.step === Step.atDrive) {
    if (!check(controller, command, 'read')) return true;
    command.step = Step.ended;
  }
  const result = command.data.flush(command);
  if (result === 'pending') return false;
  if (result === 'fault') return command.fail(Status.dataTransferError);
  controller.health.read(command.data.lengthBytes);
  return true;
}

/** Write (3.2.6). */
function write(controller: Controller, command: Command): boolean {
  if (command.step < Step.located && !locate(controller, command, 'toDevice')) return command.step === Step.ended;
  const namespace = controller.namespaces[command.nsid - 1]!;
  if (command.step === Step.located) {
    const fetched = command.data.fetch(command);
    if (fetched === 'pending') return false;
    if (fetched === 'fault') return command.fail(Status.dataTransferError);
    command.step = Step.atDrive;
    if (!start(command, namespace, 'write', command.data.lengthBytes, isDurable(controller, command))) return false;
  }
  if (check(controller, command, 'write')) controller.health.written(command.data.lengthBytes);
  return true;
}

/** Write Zeroes (3.2.7): as many blocks as can be said, since no data is transferred. */
function writeZeroes(controller: Controller, command: Command): boolean {
  if (command.step === Step.check) {
    const wrong = checkRange(controller, command);
    if (wrong !== Status.success) return command.fail(wrong);
    const namespace = controller.namespaces[command.nsid - 1]!;
    const unwritable = checkWritable(controller, command, namespace);
    if (unwritable !== Status.success) return command.fail(unwritable);
    command.step = Step.atDrive;
    command.request.mayDeallocate =
      (command.words[12]! & deallocate) !== 0 && namespace.backend.geometry.discardReadsZeroes;
    command.request.segments = null;
    const lengthBytes = command.blocks * namespace.lbaBytes;
    if (!start(command, namespace, 'writeZeroes', lengthBytes, isDurable(controller, command))) return false;
  }
  check(controller, command, 'writeZeroes');
  return true;
}

/** Checks the command and finds its data. True when it is there; else the command waits, or has failed and its step is `ended`. */
function locate(controller: Controller, command: Command, direction: 'toGuest' | 'toDevice'): boolean {
  let status: StatusCode | typeof walkPending = walkPending;
  if (command.step === Step.check) {
    command.step = Step.walk;
    status = checkRange(controller, command);
    if (status === Status.success) {
      const namespace = controller.namespaces[command.nsid - 1]!;
      const lengthBytes = command.blocks * namespace.lbaBytes;
      if (lengthBytes > maxTransferBytes) status = Status.invalidField;
      else if (direction === 'toDevice') status = checkWritable(controller, command, namespace);
      if (status === Status.success) status = beginPages(controller, command, direction, lengthBytes);
    }
  }
  if (status === walkPending) status = walkPages(controller, command);
  if (status === walkPending) return false;
  if (status !== Status.success) {
    command.fail(status);
    command.step = Step.ended;
    return false;
  }
  command.request.segments = command.data.segments;
  command.step = Step.located;
  return true;
}

/** The namespace is there, and has the blocks. */
export function checkRange(controller: Controller, command: Command): StatusCode {
  const namespace = controller.namespaces[command.nsid - 1];
  if (namespace === undefined) return Status.invalidNamespace;
  return namespace.contains(command.slba, command.blocks) ? Status.success : Status.lbaOutOfRange;
}

/** A durable write on a drive whose flushes fail would only say that it is. */
function checkWritable(controller: Controller, command: Command, namespace: Namespace): StatusCode {
  if (namespace.readOnly) return Status.namespaceWriteProtected;
  if ((command.words[12]! & directiveType) !== 0 && command.opcode === IoOpcode.write) return Status.invalidField;
  return namespace.flushFailed && isDurable(controller, command) ? Status.writeFault : Status.success;
}

/** FUA, or every write while the guest has the cache turned off. */
function isDurable(controller: Controller, command: Command): boolean {
  return (command.words[12]! & forceUnitAccess) !== 0 || controller.features.writeThrough;
}

/** Hands the blocks of the command to the drive. True when it is done already. */
export function start(
  command: Command,
  namespace: Namespace,
  operation: BlockOperation,
  lengthBytes: number,
  fua: boolean,
): boolean {
  const { request } = command;
  request.operation = operation;
  request.offset = command.slba * namespace.lbaBytes;
  request.lengthBytes = lengthBytes;
  request.fua = fua;
  request.error = 0;
  return namespace.submit(request);
}

/** True when the drive has done it; else the command has failed. */
export function check(controller: Controller, command: Command, operation: BlockOperation): boolean {
  const { error } = command.request;
  if (error === 0) return true;
  command.fail(controller.health.driveError(operation, error));
  return false;
}

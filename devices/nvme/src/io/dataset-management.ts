import { HostBuffer } from '@sidecard/core';
import { admissionPending, admit } from '../command/admission.ts';
import type { Command } from '../command/command.ts';
import { DatasetRange } from '../command/commands.ts';
import { receive, transferred } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { check, enterNamespace } from './blocks.ts';

/** Dword 11 (NVM 1.0, figure 34): deallocate. The hints for reads and writes are only hints. */
const deallocate = 1 << 2;

/** Steps after those of `receive`. */
const Step = { next: transferred, atDrive: transferred + 1 } as const;

/** One range at a time, decoded over a copy: two commands may be in the middle of theirs. */
const range = DatasetRange.over(HostBuffer.alloc(DatasetRange.sizeBytes));

/** Dataset Management (NVM Command Set 1.0, 3.2.3). Ranges are discarded one after the other; `command.cursor` is the next. */
export function manageDataset(controller: Controller, command: Command): boolean {
  if (command.namespace === null) {
    let failure = enterNamespace(controller, command);
    if (failure === Status.success) failure = admitRanges(controller, command);
    if (failure === admissionPending) return false;
    if (failure !== Status.success) return command.fail(failure);
  }
  const namespace = command.namespace!;
  const ranges = rangeCount(command);
  if (command.step < transferred) {
    if (!receive(controller, command, ranges * DatasetRange.sizeBytes)) return false;
    if (command.status !== Status.success) return true;
    for (let index = 0; index < ranges; index++) {
      load(command, index);
      // A range of no blocks is nowhere.
      if (range.lengthBlocks === 0 || namespace.contains(range.slba, range.lengthBlocks)) continue;
      command.lba = range.slba;
      return command.fail(Status.lbaOutOfRange);
    }
    if ((command.words[11]! & deallocate) === 0) return true;
    if (namespace.readOnly) return command.fail(mistake(Status.namespaceWriteProtected, Field.nsid));
  }
  return discard(controller, command, namespace, ranges);
}

function rangeCount(command: Command): number {
  return (command.words[10]! & 0xff) + 1;
}

/** Each range is an operation of the drive, and moves nothing. */
function admitRanges(controller: Controller, command: Command): Failure {
  const isHint = (command.words[11]! & deallocate) === 0;
  return isHint ? Status.success : admit(controller, command, rangeCount(command), 0);
}

function discard(controller: Controller, command: Command, namespace: Namespace, ranges: number): boolean {
  for (;;) {
    if (command.step === Step.atDrive) {
      if (!check(controller, command, 'discard')) return true;
      command.step = Step.next;
    }
    if (command.cursor === ranges) return true;
    load(command, command.cursor++);
    if (range.lengthBlocks === 0) continue;
    const { request } = command;
    request.operation = 'discard';
    request.offset = range.slba * namespace.lbaBytes;
    request.lengthBytes = range.lengthBlocks * namespace.lbaBytes;
    request.fua = false;
    request.error = 0;
    request.segments = null;
    command.step = Step.atDrive;
    if (!namespace.submit(request)) return false;
  }
}

function load(command: Command, index: number): void {
  const begin = index * DatasetRange.sizeBytes;
  range.buffer.bytes.set(command.payload.bytes.subarray(begin, begin + DatasetRange.sizeBytes));
}

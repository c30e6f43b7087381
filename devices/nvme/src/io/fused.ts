import type { Command } from '../command/command.ts';
import { IoOpcode } from '../command/commands.ts';
import { makeBuffer } from '../command/drive-memory.ts';
import type { Controller } from '../controller.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { check, ended, fetchBlocks, fetched, forcesUnitAccess, startAt } from './blocks.ts';
import { isEqual } from './compare.ts';
import { beginCommit, endCommit } from './flush.ts';
import { checkWrite, startWrite } from './read-write.ts';
import { checkBlocks, clearMarks } from './write-uncorrectable.ts';

// Fused operations (NVMe Base 2.0, 3.4.2; NVM Command Set 1.0, 2.1.3): Compare and Write, which are next to each other in a queue and are executed as
// one. The halves meet here first; then the first one fetches its data and waits, and the second does what both ask: it takes the range alone,
// compares and writes. So nobody waits for guest memory while others wait for the range.

/** FUSE. */
const Fuse = { first: 1, second: 2 } as const;
/** `command.part`. */
const Part = { alone: 0, first: 1, second: 2, ended: 3 } as const;
/** Steps of the second half, after those of `fetchBlocks`. */
const Step = { holding: 10, committing: 11, comparing: 12, writing: 13, clearing: 14 } as const;
/** `command.cursor` of the second half, for a successor: what is compared must not be compared again, and only be written; or both are done. */
const Progress = { compared: 1, done: 2 } as const;

/** PSDT, whose 11b is reserved. */
const psdt = 0xc000;

const reserved = mistake(Status.invalidField, Field.flags);
/** These two are no fused operation. */
const unsupported = mistake(Status.invalidField, Field.flags);
const wrongPsdt = mistake(Status.invalidField, Field.flags, 6);
const otherNamespace = mistake(Status.invalidField, Field.nsid);
const otherStart = mistake(Status.invalidField, Field.cdw10);
const otherLength = mistake(Status.invalidField, Field.cdw12);

/** Runs a command whose FUSE is not 0; as the `run` of an opcode. */
export function runFused(controller: Controller, command: Command): boolean {
  if (command.cursor === Progress.done) return true;
  switch (command.part) {
    case Part.alone:
      return findMate(controller, command);
    case Part.first:
      return prepareFirst(controller, command);
    case Part.second:
      return runSecond(controller, command, command.mate!);
    default:
      return true;
  }
}

/** A command has been fetched while halves of its queue wait for the entry next to them: those that wait for it in vain are told. */
export function tellHalves(controller: Controller, command: Command): void {
  const { queue } = command;
  for (const half of queue.halves.slice()) {
    const isFirst = fuseOf(half) === Fuse.first;
    const adjacent = isFirst ? queue.after(half.entry) === command.entry : queue.after(command.entry) === half.entry;
    if (!adjacent || fuseOf(command) === (isFirst ? Fuse.second : Fuse.first)) continue;
    queue.halves.splice(queue.halves.indexOf(half), 1);
    half.fail(Status.missingFused);
    finish(controller, half);
  }
}

function fuseOf(command: Command): number {
  return (command.words[0]! >>> 8) & 3;
}

/** Looks for the other half, at the entry after or before: there is none, it waits already, or it is still being fetched. */
function findMate(controller: Controller, command: Command): boolean {
  const { queue } = command;
  const fuse = fuseOf(command);
  if (fuse !== Fuse.first && fuse !== Fuse.second) return command.fail(reserved);
  const isFirst = fuse === Fuse.first;
  const mate = queue.halves.find((half) => {
    if (fuseOf(half) === fuse) return false;
    return isFirst ? queue.after(command.entry) === half.entry : queue.after(half.entry) === command.entry;
  });
  if (mate !== undefined) {
    queue.halves.splice(queue.halves.indexOf(mate), 1);
    return isFirst ? join(controller, command, mate) : join(controller, mate, command);
  }
  if (isFirst && queue.after(command.entry) === queue.next) return waitForNext(controller, command);
  const isComing = controller.processor.isFetching(
    queue,
    isFirst ? queue.after(command.entry) : queue.before(command.entry),
  );
  return isComing ? wait(controller, command) : command.fail(Status.missingFused);
}

/**
 * The entry after the first half has not been taken. Both are rung at once (3.4.2), so if it is not there now it is missing. Else both are to be taken
 * together, when there is room for both: neither keeps what another pair waits for.
 */
function waitForNext(controller: Controller, command: Command): boolean {
  const { queue } = command;
  if (queue.isEmpty || !queue.completions.takesPairs) return command.fail(Status.missingFused);
  if (queue.pairAt === command.entry) return wait(controller, command);
  queue.pairAt = command.entry;
  controller.processor.giveBack(command);
  return false;
}

function wait(controller: Controller, command: Command): false {
  command.queue.pairAt = -1;
  command.queue.halves.push(command);
  return controller.processor.park(command);
}

/** The halves have met: one of them waits, the other is running, and goes on with what this answers. */
function join(controller: Controller, first: Command, second: Command): boolean {
  const { processor } = controller;
  const failure = checkPair(first, second);
  first.part = Part.first;
  second.part = Part.second;
  first.mate = second;
  second.mate = first;
  if (failure !== Status.success) {
    first.fail(failure);
    second.fail(failure);
  }
  if (second.parked) return prepareFirst(controller, first);
  processor.park(second);
  processor.unpark(first);
  return false;
}

function checkPair(first: Command, second: Command): Failure {
  if (first.opcode !== IoOpcode.compare || second.opcode !== IoOpcode.write) return unsupported;
  if ((first.words[0]! & psdt) === psdt || (second.words[0]! & psdt) === psdt) return wrongPsdt;
  if (first.nsid !== second.nsid) return otherNamespace;
  if (first.slba !== second.slba) return otherStart;
  return first.blocks === second.blocks ? Status.success : otherLength;
}

/** The first half brings its data here, or has failed, and leaves the rest to the second. */
function prepareFirst(controller: Controller, first: Command): boolean {
  const failed = first.status !== Status.success;
  if (!failed && !fetchBlocks(controller, first, null) && first.step !== ended) return false;
  first.part = Part.ended;
  controller.processor.park(first);
  controller.processor.unpark(first.mate!);
  return false;
}

/** The second half does what both ask, and ends the first before itself. */
function runSecond(controller: Controller, second: Command, first: Command): boolean {
  if (first.status !== Status.success) {
    if (second.status === Status.success) second.fail(Status.failedFused);
    return end(controller, second, first);
  }
  // The first has asked for both.
  second.admission.granted = true;
  if (second.step < fetched && !fetchBlocks(controller, second, checkWrite) && second.step !== ended) return false;
  if (second.step === ended) shareNamespace(second, first);
  if (second.step === fetched) {
    second.step = Step.holding;
    const { lbaBytes } = second.namespace!;
    if (!second.takeRange(second.slba * lbaBytes, second.data.lengthBytes)) return false;
  }
  if (second.step === Step.holding && second.cursor === Progress.compared)
    return startSecond(controller, second, first);
  return second.step < Step.writing ? compareFirst(controller, second, first) : endSecond(controller, second, first);
}

/** A write that cannot be leaves the comparison as it is (NVM 1.0, 2.1.3.1), which is made all the same. */
function shareNamespace(second: Command, first: Command): void {
  second.step = Step.holding;
  if (second.namespace !== null) return;
  second.namespace = first.namespace!;
  second.namespace.enter();
}

/** Compares under the range, and goes on to the write. */
function compareFirst(controller: Controller, second: Command, first: Command): boolean {
  const forced = forcesUnitAccess(first);
  const { lengthBytes } = first.data;
  if (second.step === Step.holding) {
    const { rangeError } = second;
    if (rangeError !== 0) {
      return abort(controller, second, first, controller.health.driveError('write', rangeError));
    }
    second.step = Step.committing;
    if (!beginCommit(second, forced)) return false;
  }
  if (second.step === Step.committing) {
    if (!endCommit(controller, second, forced)) return abort(controller, second, first, Status.writeFault);
    const failure = checkBlocks(first, first.slba, first.blocks);
    if (failure !== Status.success) return abort(controller, second, first, failure);
    if (!makeBuffer(second, lengthBytes)) return abort(controller, second, first, Status.internalError);
    second.step = Step.comparing;
    second.request.segments = second.drive.segments;
    if (!startAt(second, first.slba, 'read', lengthBytes, false)) return false;
  }
  if (!check(controller, second, 'read')) return abort(controller, second, first, second.status & 0x7ff);
  first.readBytes = lengthBytes;
  if (!isEqual(first.data.segments, second.drive.segments)) {
    return abort(controller, second, first, Status.compareFailure);
  }
  if (second.status !== Status.success) return end(controller, second, first);
  second.cursor = Progress.compared;
  return startSecond(controller, second, first);
}

function startSecond(controller: Controller, second: Command, first: Command): boolean {
  second.step = Step.writing;
  return startWrite(controller, second) && endSecond(controller, second, first);
}

function endSecond(controller: Controller, second: Command, first: Command): boolean {
  if (second.step === Step.writing) {
    second.letRangeGo();
    if (check(controller, second, 'write')) second.writtenBytes = second.data.lengthBytes;
  }
  if (second.status === Status.success && !clearMarks(controller, second, second.blocks, Step.clearing)) return false;
  return end(controller, second, first);
}

/** The first half has failed: the second is not executed. */
function abort(controller: Controller, second: Command, first: Command, failure: Failure): true {
  first.fail(failure);
  second.fail(Status.failedFused);
  second.letRangeGo();
  return end(controller, second, first);
}

/** Both have ended, and complete in their order. */
function end(controller: Controller, second: Command, first: Command): true {
  second.cursor = Progress.done;
  finish(controller, first);
  return true;
}

/** A half that is parked ends with the status that it has. */
function finish(controller: Controller, half: Command): void {
  half.part = Part.ended;
  controller.processor.unpark(half);
}

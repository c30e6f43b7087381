import type { BlockOperation } from '@sidecard/block';
import type { NvmeCompletion } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { DiskModel } from '../disk-model.ts';
import type { Model } from '../model.ts';
import type { DriveError } from '../model-drive.ts';
import { Pending } from '../pending.ts';
import { hole, type Shape, Transfer } from '../transfer.ts';

/** Which blocks, drawn before the disk is known. */
export interface Target {
  readonly nsid: number;
  readonly first: number;
  readonly count: number;
  readonly beyond: boolean;
}

/** Mostly few blocks close to each other, so that commands meet. */
export const target: fc.Arbitrary<Target> = fc.record({
  nsid: fc.constantFrom(1, 1, 1, 1, 2, 2, 3, 0, 0xffff_ffff),
  first: fc.oneof({ weight: 4, arbitrary: fc.nat(12) }, { weight: 1, arbitrary: fc.nat(127) }),
  count: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) },
  ),
  beyond: fc.integer({ min: 0, max: 30 }).map((n) => n === 30),
});

const sgl = fc.record({
  parts: fc.array(fc.constantFrom(1, 3, 511, 512, 1000, 4095, 4096), { minLength: 1, maxLength: 3 }),
  perSegment: fc.constantFrom(2, 3, 8, 256),
});

export const shape: fc.Arbitrary<Shape> = fc.record({
  sgl: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: sgl }),
  offset: fc.oneof(
    fc.constant(0),
    fc.nat(1023).map((words) => words * 4),
  ),
  listRoom: fc.constantFrom(512, 512, 2, 3, 100),
  wrong: fc.oneof(
    { weight: 24, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.record({ entry: fc.nat(5), add: fc.constantFrom(1, 2, hole) }) },
  ),
});

/** Of admin commands: no SGLs. */
export const prpShape = shape.map((drawn) => ({ ...drawn, sgl: null }));

export const isFua = fc.integer({ min: 0, max: 3 }).map((n) => n === 3);

/** A command about a range of blocks of one namespace. */
export abstract class BlockCommand extends Pending {
  readonly nsid: number;
  /** Null: no such namespace. */
  readonly disk: DiskModel | null;
  readonly first: number;
  readonly count: number;
  readonly inRange: boolean;
  /** Of a fused operation, and the other half. */
  readonly fuse: number = 0;
  mate: BlockCommand | null = null;

  constructor(model: Model, { nsid, first, count, beyond }: Target, transfer: Transfer | null) {
    super(model, transfer);
    this.nsid = nsid;
    this.disk = model.disk(nsid);
    const size = this.disk?.blocks.length ?? 128;
    this.count = Math.min(count, size);
    this.first = Math.min(first, size - this.count) + (beyond ? size : 0);
    this.inRange = !beyond;
  }

  /** What is wrong with it as it was submitted, as statuses; empty: nothing. */
  get mistakes(): number[] {
    if (this.disk === null) return [this.model.missing(this.nsid)];
    return this.inRange ? [] : [Status.lbaOutOfRange];
  }

  get words() {
    return {
      nsid: this.nsid,
      cdw10: this.first,
      cdw11: 0,
      ...this.transfer?.pointer,
      flags: (this.transfer?.pointer.flags ?? 0) | this.fuse,
    };
  }

  /** Statuses besides those of the data's pages: a mistake's, or one that the drive has given reason for. */
  statuses(completion: NvmeCompletion, operation: BlockOperation): number[] {
    const { mistakes, disk } = this;
    const wrongPages = this.transferStatuses.filter((status) => status !== Status.success);
    if (mistakes.length > 0) return [...mistakes, ...wrongPages];
    if (completion.status === Status.success || wrongPages.includes(completion.status)) return this.transferStatuses;
    const { model, first, count, begun } = this;
    const { unrecoveredRead } = Status;
    const isMarked = operation === 'read' && disk!.mayBeUnreadable(first, count, begun);
    if (isMarked && completion.status === unrecoveredRead) {
      // Or the drive has failed it as well.
      blame(model, disk!, operation, first * disk!.blockBytes, count * disk!.blockBytes);
      model.health.mediaErrors.add(1, false);
      return [unrecoveredRead];
    }
    const blamed = blame(model, disk!, operation, first * disk!.blockBytes, count * disk!.blockBytes);
    return [...this.transferStatuses, ...blamed];
  }
}

/** Takes the error of a request with that range, and answers the statuses that tell of it. */
export function blame(
  model: Model,
  disk: DiskModel,
  operation: BlockOperation,
  offset: number,
  lengthBytes: number,
): number[] {
  const { errors } = model.drives[disk.nsid - 1]!;
  const at = errors.findIndex(
    (error) => error.operation === operation && error.offset === offset && error.lengthBytes === lengthBytes,
  );
  if (at < 0) return [];
  const [error] = errors.splice(at, 1);
  model.health.mediaErrors.add(1, isMediaError(error!));
  return [statusOf(error!)];
}

const ENOSPC = 28;

function isMediaError({ errno }: DriveError): boolean {
  return errno !== ENOSPC;
}

/** NVM Command Set 1.0, 3.1.2: what an error of the drive is to the guest. */
function statusOf({ operation, errno }: DriveError): number {
  if (errno === ENOSPC) return Status.capacityExceeded;
  return operation === 'read' ? Status.unrecoveredRead : Status.writeFault;
}

/** Pages for the data of a command, as long as the command says. */
export function dataFor(model: Model, { nsid, count }: Target, how: Shape): Transfer | null {
  const disk = model.disks[nsid - 1] ?? model.disks[0]!;
  return Transfer.any(model.memory, Math.min(count, disk.blocks.length) * disk.blockBytes, how);
}

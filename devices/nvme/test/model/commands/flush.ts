import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { DiskModel } from '../disk-model.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';

/** Every namespace, or the one with that number; none: there is none. */
function disksOf(model: Model, nsid: number): readonly DiskModel[] {
  return model.disks.filter((disk) => disk.attached && (nsid === 0xffff_ffff || disk.nsid === nsid));
}

/** Statuses of a command that flushes these drives: once one has failed, those after it do for good (storage.md, Durability). */
export function flushStatuses(command: Pending, disks: readonly DiskModel[], { status }: NvmeCompletion): number[] {
  const { model, begun } = command;
  const suspects = disks.filter((disk) => flushMayFail(model, disk));
  if (status === Status.success) {
    return suspects.some(({ flushFailedAt }) => flushFailedAt < begun) ? [Status.writeFault] : [Status.success];
  }
  for (const disk of suspects) disk.flushMayFail = true;
  if (suspects.length === 1) suspects[0]!.flushFailedAt = Math.min(suspects[0]!.flushFailedAt, model.now);
  return suspects.length > 0 ? [Status.writeFault] : [Status.success];
}

/** It has failed, or the drive has failed one that nobody was told of yet. */
export function flushMayFail(model: Model, disk: DiskModel): boolean {
  return disk.flushMayFail || model.drives[disk.nsid - 1]!.errors.some(({ operation }) => operation === 'flush');
}

/** Flush (NVM Command Set 1.0, 3.2.3): what was completed when it came is durable when it completes. */
class Flush extends Pending {
  readonly sqe;
  readonly #disks: readonly DiskModel[];

  constructor(model: Model, nsid: number) {
    super(model);
    this.sqe = { opcode: NvmOpcode.flush, nsid };
    this.#disks = disksOf(model, nsid);
  }

  override ended(completion: NvmeCompletion): void {
    const known = this.#disks.length > 0 || this.sqe.nsid === 0xffff_ffff;
    const statuses = flushStatuses(this, this.#disks, completion);
    this.expect(completion, ...(known ? statuses : [this.model.missing(this.sqe.nsid)]));
    if (completion.status !== Status.success) return;
    for (const disk of this.#disks) disk.checkDurable(this.begun, `${this}`);
  }
}

export const flush: fc.Arbitrary<Plan> = fc.constantFrom(1, 1, 1, 2, 0xffff_ffff, 7).map((nsid) => ({
  plan: (model) => new Flush(model, nsid),
  toString: () => `flush ${nsid}`,
}));

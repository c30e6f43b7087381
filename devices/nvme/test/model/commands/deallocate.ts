import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import { type DiskModel, zeroes } from '../disk-model.ts';
import type { Written } from '../history.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';
import { type Shape, Transfer } from '../transfer.ts';
import { blame, shape } from './blocks.ts';

interface Range {
  readonly first: number;
  readonly count: number;
}

/** Dataset Management (NVM Command Set 1.0, 3.2.3): a hint, so each block reads as zeroes afterwards (DLFEAT) or as before. */
class DatasetManagement extends Pending {
  readonly sqe;
  readonly #disk: DiskModel | null;
  readonly #ranges: readonly Range[];
  readonly #deallocates: boolean;
  #zeroed: Written<number>[][] = [];

  constructor(model: Model, nsid: number, ranges: readonly Range[], attributes: number, transfer: Transfer) {
    super(model, transfer);
    this.#disk = model.disk(nsid);
    this.#ranges = ranges;
    this.#deallocates = (attributes & 4) !== 0;
    const opcode = NvmOpcode.datasetManagement;
    this.sqe = { opcode, nsid, ...transfer.pointer, cdw10: ranges.length - 1, cdw11: attributes };
    const words = new Uint32Array(ranges.length * 4);
    for (const [index, { first, count }] of ranges.entries()) words.set([0, count, first, 0], index * 4);
    transfer.store(new Uint8Array(words.buffer));
  }

  get #mistakes(): number[] {
    const disk = this.#disk;
    if (disk === null) return [this.model.missing(this.sqe.nsid)];
    const inside = this.#ranges.every(({ first, count }) => first + count <= disk.blocks.length);
    if (!inside) return [Status.lbaOutOfRange];
    const { readOnly } = this.model.drives[disk.nsid - 1]!.geometry;
    return readOnly && this.#deallocates ? [Status.namespaceWriteProtected] : [];
  }

  override begin(): void {
    if (this.#mistakes.length > 0 || !this.#deallocates) return;
    const { now } = this.model;
    this.#zeroed = this.#ranges.map(({ first, count }) =>
      this.#disk!.begin(first, new Array<number>(count).fill(zeroes), now),
    );
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, ...this.#statuses(completion.status));
    this.dropped();
  }

  override dropped(): void {
    for (const [index, writes] of this.#zeroed.entries()) {
      this.#disk!.drop(this.#ranges[index]!.first, writes, this.model.now);
    }
  }

  #statuses(status: number): number[] {
    const wrongPages = this.transferStatuses.filter((one) => one !== Status.success);
    const mistakes = this.#mistakes;
    if (mistakes.length > 0) return [...mistakes, ...wrongPages];
    if (status === Status.success || wrongPages.includes(status)) return this.transferStatuses;
    const { blockBytes } = this.#disk!;
    for (const { first, count } of this.#ranges) {
      const blamed = blame(this.model, this.#disk!, 'discard', first * blockBytes, count * blockBytes);
      if (blamed.length > 0) return blamed;
    }
    return [Status.success];
  }
}

interface Drawn {
  readonly nsid: number;
  readonly ranges: readonly Range[];
  readonly attributes: number;
  readonly how: Shape;
}

const range = fc.record({ first: fc.nat(15), count: fc.constantFrom(0, 1, 1, 2, 5, 100) });

export const deallocate: fc.Arbitrary<Plan> = fc
  .record<Drawn>({
    nsid: fc.constantFrom(1, 1, 1, 2, 9),
    ranges: fc.array(range, { minLength: 1, maxLength: 4 }),
    attributes: fc.constantFrom(4, 4, 4, 0, 7),
    how: shape,
  })
  .map(({ nsid, ranges, attributes, how }) => ({
    plan: (model) => {
      const transfer = Transfer.any(model.memory, ranges.length * 16, how);
      return transfer === null ? null : new DatasetManagement(model, nsid, ranges, attributes, transfer);
    },
    toString: () => `deallocate ${fc.stringify({ nsid, ranges, attributes, how })}`,
  }));

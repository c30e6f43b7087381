import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import { unreadable } from '../disk-model.ts';
import { type History, mayBe, type Written } from '../history.ts';
import type { Model } from '../model.ts';
import type { Plan } from '../pending.ts';
import { type Shape, Transfer } from '../transfer.ts';
import { BlockCommand, blame, isFua, shape } from './blocks.ts';
import { flushMayFail } from './flush.ts';

interface Range {
  readonly first: number;
  readonly count: number;
}

/** Copy (NVM Command Set 1.0, 3.2.2), format 0: each block becomes what its source was at some moment meanwhile. */
class Copy extends BlockCommand {
  readonly #ranges: readonly Range[];
  readonly #fua: boolean;
  #writes: Written<number>[] = [];

  constructor(model: Model, nsid: number, first: number, ranges: readonly Range[], fua: boolean, transfer: Transfer) {
    const count = ranges.reduce((sum, range) => sum + range.count, 0);
    super(model, { nsid, first, count, beyond: false }, transfer);
    this.#ranges = ranges;
    this.#fua = fua;
    const words = new Uint32Array(ranges.length * 8);
    for (const [index, range] of ranges.entries()) words.set([0, 0, range.first, 0, range.count - 1], index * 8);
    transfer.store(new Uint8Array(words.buffer));
  }

  get sqe() {
    const flags = this.#fua ? 1 << 30 : 0;
    return { opcode: NvmOpcode.copy, ...this.words, cdw12: (this.#ranges.length - 1) | flags };
  }

  override get mistakes(): number[] {
    const mistakes = super.mistakes;
    if (mistakes.length > 0) return mistakes;
    const { blocks } = this.disk!;
    if (this.#ranges.some(({ first, count }) => first + count > blocks.length)) mistakes.push(Status.lbaOutOfRange);
    if (this.model.drives[this.nsid - 1]!.geometry.readOnly) mistakes.push(Status.namespaceWriteProtected);
    return mistakes;
  }

  override begin(): void {
    const { begun, model } = this;
    if (this.mistakes.length > 0) return;
    this.#writes = this.#sources.map((source, index) =>
      this.disk!.blocks[this.first + index]!.beginAmong(
        (value) => value !== unreadable && source.allows(value, begun),
        model.now,
      ),
    );
  }

  override ended(completion: NvmeCompletion): void {
    const { model, disk } = this;
    this.expect(completion, ...this.#statuses(completion));
    this.#count();
    this.#settle();
    if (completion.status !== Status.success) return;
    disk!.end(this.first, this.#writes, model.now);
    if (this.#fua) disk!.checkDurable(model.now, `${this}`, this.first, this.count);
  }

  override dropped(): void {
    this.#count();
    this.#settle();
  }

  get #sources(): History<number>[] {
    return this.#ranges.flatMap(({ first, count }) => this.disk!.blocks.slice(first, first + count));
  }

  /** What the sources were until now is what was copied, if it was. */
  #settle(): void {
    if (this.#writes.length === 0) return;
    for (const [index, source] of this.#sources.entries()) {
      const possible = source.possible(this.begun);
      this.#writes[index]!.could = (value) => value !== unreadable && possible.some((entry) => mayBe(entry, value));
    }
    this.disk!.drop(this.first, this.#writes, this.model.now);
  }

  #count(): void {
    const lengthBytes = this.count * (this.disk?.blockBytes ?? 0);
    this.model.health.read(lengthBytes, false);
    this.model.health.written(lengthBytes, false);
  }

  #statuses({ status }: NvmeCompletion): number[] {
    const { disk, model, mistakes } = this;
    const wrongPages = this.transferStatuses.filter((one) => one !== Status.success);
    // Of two things that are wrong, either is told.
    const unflushed = disk !== null && flushMayFail(model, disk) ? [Status.writeFault] : [];
    if (mistakes.length > 0) return [...mistakes, ...wrongPages, ...unflushed];
    if (status === Status.success || wrongPages.includes(status)) return this.transferStatuses;
    const { blockBytes } = disk!;
    const { unrecoveredRead } = Status;
    const isMarked = this.#ranges.some(({ first, count }) => disk!.mayBeUnreadable(first, count, this.begun));
    if (isMarked && status === unrecoveredRead) {
      // Or the drive has failed one of them as well.
      const { blockBytes } = disk!;
      this.#ranges.some(({ first, count }) => {
        return blame(model, disk!, 'read', first * blockBytes, count * blockBytes).length > 0;
      });
      model.health.mediaErrors.add(1, false);
      return [unrecoveredRead];
    }
    let to = this.first;
    for (const { first, count } of this.#ranges) {
      for (const [operation, block] of [
        ['read', first],
        ['write', to],
      ] as const) {
        const blamed = blame(model, disk!, operation, block * blockBytes, count * blockBytes);
        if (blamed.length > 0) return blamed;
      }
      to += count;
    }
    return unflushed.length > 0 ? unflushed : [Status.success];
  }
}

interface Drawn {
  readonly nsid: number;
  readonly to: number;
  readonly ranges: readonly Range[];
  readonly fua: boolean;
  readonly how: Shape;
}

const range = fc.record({ first: fc.nat(15), count: fc.integer({ min: 1, max: 3 }) });

export const copy: fc.Arbitrary<Plan> = fc
  .record<Drawn>({
    nsid: fc.constantFrom(1, 1, 1, 2, 9),
    to: fc.nat(15),
    ranges: fc.array(range, { minLength: 1, maxLength: 4 }),
    fua: isFua,
    how: shape,
  })
  .map(({ nsid, to, ranges, fua, how }) => ({
    plan: (model) => {
      const count = ranges.reduce((sum, one) => sum + one.count, 0);
      const size = model.disk(nsid)?.blocks.length ?? 128;
      const first = Math.min(to, size - count);
      // What is copied onto itself, and copies of copies, are more than this model says.
      if (ranges.some((one) => one.first < first + count && first < one.first + one.count)) return null;
      if (model.inFlight.some((one) => one instanceof Copy)) return null;
      const transfer = Transfer.any(model.memory, ranges.length * 32, how);
      return transfer === null ? null : new Copy(model, nsid, first, ranges, fua, transfer);
    },
    toString: () => `copy ${fc.stringify({ nsid, to, ranges, fua, how })}`,
  }));

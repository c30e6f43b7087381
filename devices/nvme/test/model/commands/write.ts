import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Feature } from '../../../src/command/commands.ts';
import { Status } from '../../../src/status.ts';
import { zeroes } from '../disk-model.ts';
import type { Written } from '../history.ts';
import type { Model } from '../model.ts';
import type { Plan } from '../pending.ts';
import type { Transfer } from '../transfer.ts';
import { BlockCommand, dataFor, isFua, shape, type Target, target } from './blocks.ts';
import { flushMayFail } from './flush.ts';

/** What writes blocks: from its completion on, what was there before it began is gone. */
export abstract class BlockWriter extends BlockCommand {
  readonly fua: boolean;
  abstract readonly tags: readonly number[];
  abstract readonly operation: 'write' | 'writeZeroes';
  #writes: Written<number>[] = [];

  constructor(model: Model, where: Target, transfer: Transfer | null, fua: boolean) {
    super(model, where, transfer);
    this.fua = fua;
  }

  override get mistakes(): number[] {
    const mistakes = super.mistakes;
    if (this.disk !== null && this.#drive.geometry.readOnly) mistakes.push(Status.namespaceWriteProtected);
    return mistakes;
  }

  override begin(): void {
    if (this.mistakes.length === 0) this.#writes = this.disk!.begin(this.first, this.tags, this.model.now);
  }

  override ended(completion: NvmeCompletion): void {
    const { model, disk, first } = this;
    const statuses = this.statuses(completion, this.operation);
    // A drive whose flushes fail can promise nothing.
    if (disk !== null && this.#mayBeDurable && flushMayFail(model, disk)) statuses.push(Status.writeFault);
    this.expect(completion, ...statuses);
    const good = completion.status === Status.success;
    model.health.written(this.count * (disk?.blockBytes ?? 0), good && this.operation === 'write');
    if (!good) {
      this.#lose();
      return;
    }
    disk!.end(first, this.#writes, model.now);
    if (this.#isDurable) disk!.checkDurable(model.now, `${this}`, first, this.count);
  }

  override dropped(): void {
    this.model.health.written(this.count * (this.disk?.blockBytes ?? 0), false);
    this.#lose();
  }

  /** It was not executed. */
  protected never(): void {
    if (this.#writes.length > 0) this.disk!.never(this.first, this.#writes);
    this.model.health.written(0, false);
  }

  #lose(): void {
    if (this.#writes.length > 0) this.disk!.drop(this.first, this.#writes, this.model.now);
  }

  get #drive() {
    return this.model.drives[this.nsid - 1]!;
  }

  /** FUA, or the volatile cache was off all the while (NVMe Base 2.0, 5.27.1.4). */
  get #isDurable(): boolean {
    const cache = this.model.features.value(Feature.volatileWriteCache);
    return this.fua || !this.#drive.geometry.volatileCache || cache.certain(this.begun, (value) => (value & 1) === 0);
  }

  get #mayBeDurable(): boolean {
    return this.fua || this.model.features.value(Feature.volatileWriteCache).allows(0, this.begun);
  }
}

/** Write (NVM Command Set 1.0, 3.2.6). */
export class Write extends BlockWriter {
  readonly operation = 'write';
  readonly tags: readonly number[];

  constructor(model: Model, where: Target, transfer: Transfer, fua: boolean) {
    super(model, where, transfer, fua);
    this.tags = model.freshTags(this.count);
    transfer.store((this.disk ?? model.disks[0]!).bytesOf(this.tags));
  }

  get sqe() {
    return { opcode: NvmOpcode.write, ...this.words, cdw12: (this.count - 1) | (this.fua ? 1 << 30 : 0) };
  }
}

/** Write Zeroes (3.2.7): with Deallocate as well the blocks read as zeroes, since DLFEAT says so. */
class WriteZeroes extends BlockWriter {
  readonly operation = 'writeZeroes';
  readonly tags = new Array<number>(this.count).fill(zeroes);
  deallocate = false;

  get sqe() {
    const flags = (this.fua ? 1 << 30 : 0) | (this.deallocate ? 1 << 25 : 0);
    return { opcode: NvmOpcode.writeZeroes, ...this.words, cdw12: (this.count - 1) | flags };
  }
}

export const write: fc.Arbitrary<Plan> = fc.record({ where: target, how: shape, fua: isFua }).map((drawn) => ({
  plan: (model) => {
    const transfer = dataFor(model, drawn.where, drawn.how);
    return transfer === null ? null : new Write(model, drawn.where, transfer, drawn.fua);
  },
  toString: () => `write ${fc.stringify(drawn)}`,
}));

export const writeZeroes: fc.Arbitrary<Plan> = fc
  .record({ where: target, fua: isFua, deallocate: fc.boolean() })
  .map((drawn) => ({
    plan: (model) => {
      const command = new WriteZeroes(model, drawn.where, null, drawn.fua);
      command.deallocate = drawn.deallocate;
      return command;
    },
    toString: () => `writeZeroes ${fc.stringify(drawn)}`,
  }));

import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { Model } from '../model.ts';
import type { Plan } from '../pending.ts';
import type { Transfer } from '../transfer.ts';
import { must } from '../violation.ts';
import { BlockCommand, dataFor, shape, type Target, target } from './blocks.ts';

/** Compare (NVM Command Set 1.0, 3.2.2): with what is there, as far as the model knows, or with something else in one block. */
export class Compare extends BlockCommand {
  readonly #bytes: Uint8Array;
  readonly #tags: number[];

  constructor(model: Model, where: Target, transfer: Transfer, different: boolean) {
    super(model, where, transfer);
    const disk = this.disk ?? model.disks[0]!;
    this.#tags = Array.from({ length: this.count }, (_, index) => {
      const possible = disk.blocks[this.first + index]?.possible(model.now) ?? [];
      return possible[Math.floor(model.random() * possible.length)]?.value ?? 0;
    });
    if (different) this.#tags[Math.floor(model.random() * this.count)] = model.freshTags(1)[0]!;
    this.#bytes = disk.bytesOf(this.#tags);
    transfer.store(this.#bytes);
  }

  get sqe() {
    return { opcode: NvmOpcode.compare, ...this.words, cdw12: this.count - 1 };
  }

  override ended(completion: NvmeCompletion): void {
    const { model, disk, begun, first } = this;
    const different = completion.status === Status.compareFailure && this.mistakes.length === 0;
    if (!different) this.expect(completion, ...this.statuses(completion, 'read'));
    model.health.read(this.transfer!.lengthBytes, completion.status === Status.success);
    if (completion.status === Status.success) disk!.checkRead(first, this.#bytes, begun, model.now, `${this}`);
    if (!different) return;
    const possible = this.#tags.some((tag, index) =>
      disk!.blocks[first + index]!.possible(begun).some(({ value }) => value !== tag),
    );
    must(possible, () => `${this} failed, and all blocks are the same`);
  }

  override dropped(): void {
    this.model.health.read(this.transfer!.lengthBytes, false);
  }
}

export const compare: fc.Arbitrary<Plan> = fc
  .record({ where: target, how: shape, different: fc.boolean() })
  .map((drawn) => ({
    plan: (model) => {
      const transfer = dataFor(model, drawn.where, drawn.how);
      return transfer === null ? null : new Compare(model, drawn.where, transfer, drawn.different);
    },
    toString: () => `compare ${fc.stringify(drawn)}`,
  }));

import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import type { Plan } from '../pending.ts';
import { BlockCommand, target } from './blocks.ts';

/** Verify (NVM Command Set 1.0, 3.2.5): the blocks can be read. */
class Verify extends BlockCommand {
  get sqe() {
    return { opcode: NvmOpcode.verify, ...this.words, cdw12: this.count - 1 };
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, ...this.statuses(completion, 'read'));
    this.dropped();
  }

  override dropped(): void {
    // Whether it is a read of the SMART log is said by later versions only.
    this.model.health.read(this.count * (this.disk?.blockBytes ?? 0), false);
  }
}

export const verify: fc.Arbitrary<Plan> = target.map((where) => ({
  plan: (model) => new Verify(model, where, null),
  toString: () => `verify ${fc.stringify(where)}`,
}));

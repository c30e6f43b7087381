import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import { unreadable } from '../disk-model.ts';
import type { Written } from '../history.ts';
import type { Plan } from '../pending.ts';
import { BlockCommand, target } from './blocks.ts';
import { flushMayFail } from './flush.ts';

/** Write Uncorrectable (NVM Command Set 1.0, 3.2.7): the blocks cannot be read until they are written. */
class WriteUncorrectable extends BlockCommand {
  #marks: Written<number>[] = [];

  get sqe() {
    return { opcode: NvmOpcode.writeUncorrectable, ...this.words, cdw12: this.count - 1 };
  }

  override get mistakes(): number[] {
    const mistakes = super.mistakes;
    const isReadOnly = this.disk !== null && this.model.drives[this.nsid - 1]!.geometry.readOnly;
    return isReadOnly ? [...mistakes, Status.namespaceWriteProtected] : mistakes;
  }

  override begin(): void {
    if (this.mistakes.length > 0) return;
    this.#marks = this.disk!.begin(this.first, new Array<number>(this.count).fill(unreadable), this.model.now);
  }

  override ended(completion: NvmeCompletion): void {
    const { mistakes, model } = this;
    const right: number[] = mistakes.length > 0 ? [] : [Status.success];
    // A mark is durable, which a drive whose flushes fail may not promise.
    if (this.disk !== null && flushMayFail(model, this.disk)) right.push(Status.writeFault);
    this.expect(completion, ...mistakes, ...right);
    if (completion.status === Status.success) this.disk!.end(this.first, this.#marks, model.now);
    this.dropped();
  }

  override dropped(): void {
    this.model.health.written(0, false);
    if (this.#marks.length > 0) this.disk!.drop(this.first, this.#marks, this.model.now);
  }
}

export const writeUncorrectable: fc.Arbitrary<Plan> = target.map((where) => ({
  plan: (model) => new WriteUncorrectable(model, where, null),
  toString: () => `writeUncorrectable ${fc.stringify(where)}`,
}));

import { type NvmeCompletion, NvmOpcode } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { Plan } from '../pending.ts';
import { BlockCommand, dataFor, isFua, shape, target } from './blocks.ts';
import { flushMayFail } from './flush.ts';

/** Read (NVM Command Set 1.0, 3.2.4): each block as it was at some moment while the command was under way; with FUA, durable before. */
class Read extends BlockCommand {
  fua = false;

  get sqe() {
    return { opcode: NvmOpcode.read, ...this.words, cdw12: (this.count - 1) | (this.fua ? 1 << 30 : 0) };
  }

  override begin(): void {
    this.transfer!.open();
  }

  override ended(completion: NvmeCompletion): void {
    const { model, disk, transfer, begun } = this;
    // What FUA asks for has failed, and nothing was read then.
    const unflushed = completion.status === Status.writeFault && this.fua && this.mistakes.length === 0;
    if (unflushed && flushMayFail(model, disk!)) disk!.flushMayFail = true;
    else this.expect(completion, ...this.statuses(completion, 'read'));
    const good = completion.status === Status.success;
    model.health.read(transfer!.lengthBytes, good);
    if (good) disk!.checkRead(this.first, transfer!.load(), begun, model.now, `${this}`);
    if (good && this.fua) disk!.checkDurable(begun, `${this}`, this.first, this.count);
  }

  override dropped(): void {
    this.model.health.read(this.transfer!.lengthBytes, false);
  }
}

export const read: fc.Arbitrary<Plan> = fc.record({ where: target, how: shape, fua: isFua }).map((drawn) => ({
  plan: (model) => {
    const transfer = dataFor(model, drawn.where, drawn.how);
    if (transfer === null) return null;
    const command = new Read(model, drawn.where, transfer);
    command.fua = drawn.fua;
    return command;
  },
  toString: () => `read ${fc.stringify(drawn)}`,
}));

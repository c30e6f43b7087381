import type { NvmeCommand, NvmeCompletion } from '@sidecard/testing';
import { Status } from '../../src/status.ts';
import type { Model } from './model.ts';
import type { SubmissionRing } from './rings.ts';
import type { Transfer } from './transfer.ts';
import { hex, must } from './violation.ts';

/** A command that was submitted: what it means, and what may become of it. */
export abstract class Pending {
  readonly model: Model;
  abstract readonly sqe: NvmeCommand;
  readonly transfer: Transfer | null;
  cid = -1;
  ring: SubmissionRing | null = null;
  /** When it was submitted. */
  begun = 0;
  /** As it completed; null until then. */
  status: number | null = null;
  /** An Abort has named it. */
  abortable = false;
  /** An Abort has said that it was aborted. */
  aborted = false;

  constructor(model: Model, transfer: Transfer | null = null) {
    this.model = model;
    this.transfer = transfer;
  }

  /** It has been submitted. */
  begin(): void {}

  /** It has completed, other than by an Abort: checks that, and takes the effects. */
  abstract ended(completion: NvmeCompletion): void;

  /** It has gone without a completion, or was aborted: what it was to do has happened or not. */
  dropped(): void {}

  complete(completion: NvmeCompletion): void {
    const { model } = this;
    this.status = completion.status;
    this.transfer?.close();
    model.errorLog.completed(this, completion);
    must(completion.dw1 === 0, () => `${this}: dword 1 is ${hex(completion.dw1)}`);
    if (completion.status === Status.abortRequested) {
      must(this.abortable, () => `${this} was aborted, and nobody had asked for it`);
      this.dropped();
    } else {
      must(!this.aborted, () => `${this} was aborted, as its Abort said, and ended with ${hex(completion.status)}`);
      this.ended(completion);
    }
    this.transfer?.free();
  }

  drop(): void {
    // It may have failed before.
    this.model.errorLog.may();
    this.transfer?.close();
    this.dropped();
    this.transfer?.free();
  }

  /** The status is one of these. */
  expect(completion: NvmeCompletion, ...allowed: number[]): void {
    must(
      allowed.includes(completion.status),
      () => `${this} ended with ${hex(completion.status)}, not ${allowed.map(hex).join(' or ')}`,
    );
  }

  /** What the description of its data allows: success, unless something of it is wrong. */
  get transferStatuses(): number[] {
    const { failures, mustFail } = this.transfer ?? { failures: [], mustFail: false };
    return mustFail ? [...failures] : [Status.success, ...failures];
  }

  toString(): string {
    const { opcode, nsid = 0, cdw10 = 0, cdw11 = 0, cdw12 = 0 } = this.sqe;
    const words = [nsid, cdw10, cdw11, cdw12].map(hex).join(' ');
    return `${this.constructor.name} ${this.cid} of queue ${this.ring?.id} (${hex(opcode)}: ${words})`;
  }
}

/** What to submit at some moment of a run. */
export interface Plan {
  /** Several are next to each other in the queue. Null: there is nothing to submit, for want of memory or of what it is about. */
  plan(model: Model): Pending | readonly Pending[] | null;
  toString(): string;
}

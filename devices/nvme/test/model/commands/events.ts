import { AdminOpcode, type NvmeCompletion } from '@sidecard/testing';
import fc from 'fast-check';
import { asyncEventRequests } from '../../../src/limits.ts';
import { Status } from '../../../src/status.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';
import type { SubmissionRing } from '../rings.ts';
import { must } from '../violation.ts';

/** Asynchronous Event Request (NVMe Base 2.0, 5.2). */
export class EventRequest extends Pending {
  readonly sqe = { opcode: AdminOpcode.asyncEventRequest };
  mayBeTooMany = false;

  override begin(): void {
    const others = this.model.inFlight.filter((one) => one instanceof EventRequest);
    if (others.length < asyncEventRequests) return;
    // Whichever is fetched last.
    for (const one of [this, ...others]) one.mayBeTooMany = true;
  }

  override ended(completion: NvmeCompletion): void {
    if (this.mayBeTooMany && completion.status === Status.asyncEventLimitExceeded) return;
    this.expect(completion, Status.success);
    this.model.events.told(completion.dw0);
  }
}

export const eventRequest: fc.Arbitrary<Plan> = fc.constant({
  plan: (model) => new EventRequest(model),
  toString: () => 'eventRequest',
});

/** Aborts outstanding at most (Identify's ACL says three, counted from zero). */
const aborts = 4;

/** Abort (5.1). */
class Abort extends Pending {
  readonly sqe;
  readonly #target: Pending | null;
  #mayBeTooMany = false;

  constructor(model: Model, sqid: number, cid: number, target: Pending | null) {
    super(model);
    this.sqe = { opcode: AdminOpcode.abort, cdw10: ((cid << 16) | sqid) >>> 0 };
    this.#target = target;
  }

  override begin(): void {
    this.#mayBeTooMany = this.model.inFlight.filter((one) => one instanceof Abort).length >= aborts;
    if (this.#target !== null) this.#target.abortable = true;
  }

  override ended(completion: NvmeCompletion): void {
    if (this.#mayBeTooMany && completion.status === Status.abortLimitExceeded) return;
    const { cdw10 } = this.sqe;
    const known = this.model.submission.get(cdw10 & 0xffff)?.state === 'live';
    this.expect(completion, Status.success, ...(known ? [] : [Status.invalidField, Status.invalidQueueIdentifier]));
    if (completion.status !== Status.success || (completion.dw0 & 1) !== 0) return;
    const target = this.#target;
    must(target !== null, () => `${this}: there was no such command to abort`);
    const ended = target.status;
    must(ended === null || ended === Status.abortRequested, () => `${this}: ${target} was not aborted`);
    if (ended === null) target.aborted = true;
  }
}

export const abort: fc.Arbitrary<Plan> = fc
  .record({ queue: fc.nat(5), command: fc.nat(9), exists: fc.integer({ min: 0, max: 5 }).map((n) => n !== 5) })
  .map(({ queue, command, exists }) => ({
    plan: (model) => {
      if (!exists) return new Abort(model, queue === 5 ? 999 : queue, 0xfff0, null);
      const ring = pick([...model.submission.values()], queue);
      const target = ring && pick([...ring.pending.values()], command);
      return target ? new Abort(model, ring.id, target.cid, target) : null;
    },
    toString: () => `abort ${fc.stringify({ queue, command, exists })}`,
  }));

export function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % list.length];
}

/** A queue that is there for certain. */
export function liveQueue(model: Model, index: number): SubmissionRing | undefined {
  return pick(
    [...model.submission.values()].filter(({ state }) => state === 'live'),
    index,
  );
}

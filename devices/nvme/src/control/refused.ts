import { DriveError } from '@sidecard/block';
import { Refusal } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { isFull } from '../host-errors.ts';
import type { Outcome } from '../namespaces/jobs.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { Status, statusOf } from '../status.ts';

/** The daemon ends. */
export const ending = new Refusal(503, 'the daemon ends');

/** What a drive says no to, as an answer: 400 for what makes no sense, 507 for want of room, else 409. Our own mistakes stay what they are. */
export function refused(error: unknown): unknown {
  const isReason = error instanceof DriveError || (error instanceof Error && error.constructor === Error);
  if (!isReason) return error;
  if (!(error instanceof DriveError)) return new Refusal(409, error.message);
  if (isFull(error.errno)) return new Refusal(507, error.message);
  return new Refusal(error.kind === 'usage' ? 400 : 409, error.message);
}

/** @throws Refusal where what was asked of Namespace Management has failed. */
export function checkOutcome({ jobs }: Controller, { failure }: Outcome, nsid: number): void {
  switch (statusOf(failure)) {
    case Status.success:
      return;
    case Status.formatInProgress:
      throw new Refusal(409, `namespace ${nsid} is being formatted`);
    case Status.alreadyAttached:
      throw new Refusal(409, `namespace ${nsid} is attached already`);
    case Status.notAttached:
      throw new Refusal(409, `namespace ${nsid} is not attached`);
    case Status.invalidField:
    case Status.invalidNamespace:
      throw new Refusal(409, `namespace ${nsid} is gone, or going`);
    default:
      throw jobs.stopping ? ending : new Refusal(500, 'the host refuses it; the log of the daemon says why');
  }
}

/** @throws Refusal 409 for a namespace that is on its way out. */
export function checkStays({ condemned, nsid }: Namespace): void {
  if (condemned) throw new Refusal(409, `namespace ${nsid} is being removed`);
}

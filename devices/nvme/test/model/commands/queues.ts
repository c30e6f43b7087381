import { AdminOpcode, CQE_BYTES, type NvmeCommand, type NvmeCompletion, SQE_BYTES } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import { PAGE } from '../guest-pages.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';
import { CompletionRing, SubmissionRing } from '../rings.ts';
import { pick } from './events.ts';

/** Identifiers that are used: a few, and the last there is. */
const identifiers = [1, 2, 3, 4, 64];

/** Create I/O Completion Queue and Create I/O Submission Queue (NVMe Base 2.0, 5.4, 5.5), as they should be. */
class CreateQueue extends Pending {
  readonly sqe: NvmeCommand;
  readonly #queue: CompletionRing | SubmissionRing;

  constructor(model: Model, queue: CompletionRing | SubmissionRing) {
    super(model);
    this.#queue = queue;
    const cdw10 = (((queue.entries - 1) << 16) | queue.id) >>> 0;
    const opcode =
      queue instanceof CompletionRing ? AdminOpcode.createCompletionQueue : AdminOpcode.createSubmissionQueue;
    const cdw11 =
      queue instanceof SubmissionRing
        ? (queue.completions.id << 16) | 1
        : queue.vector === null
          ? 1
          : (queue.vector << 16) | 3;
    this.sqe = { opcode, prp1: queue.iova, cdw10, cdw11 };
  }

  override begin(): void {
    const { model } = this;
    const queue = this.#queue;
    if (queue instanceof CompletionRing) model.completion.set(queue.id, queue);
    else model.submission.set(queue.id, queue);
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, Status.success);
    this.#queue.state = 'live';
  }
}

/** A queue command that is wrong in one thing, and changes nothing. */
class WrongQueue extends Pending {
  readonly sqe: NvmeCommand;
  readonly #statuses: readonly number[];

  constructor(model: Model, sqe: NvmeCommand, ...statuses: number[]) {
    super(model);
    this.sqe = sqe;
    this.#statuses = statuses;
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, ...this.#statuses);
  }
}

/** Delete I/O Submission Queue (5.7): when it has completed nothing of the queue is under way, and all that completed is posted. */
class DeleteSubmissionQueue extends Pending {
  readonly sqe;
  readonly #queue: SubmissionRing;

  constructor(model: Model, queue: SubmissionRing) {
    super(model);
    this.#queue = queue;
    this.sqe = { opcode: AdminOpcode.deleteSubmissionQueue, cdw10: queue.id };
  }

  override begin(): void {
    this.#queue.state = 'deleting';
  }

  override ended(completion: NvmeCompletion): void {
    const { model } = this;
    this.expect(completion, Status.success);
    while (model.reap(this.#queue.completions, 100) > 0);
    model.forget(this.#queue);
  }
}

/** Delete I/O Completion Queue (5.6). */
class DeleteCompletionQueue extends Pending {
  readonly sqe;
  readonly #queue: CompletionRing;

  constructor(model: Model, queue: CompletionRing) {
    super(model);
    this.#queue = queue;
    this.sqe = { opcode: AdminOpcode.deleteCompletionQueue, cdw10: queue.id };
  }

  override begin(): void {
    this.#queue.state = 'deleting';
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, Status.success);
    this.model.completion.delete(this.#queue.id);
    this.#queue.free();
  }
}

/** Pages for a queue, or null. */
function queueMemory(model: Model, lengthBytes: number): number | null {
  return model.memory.takeRow(Math.ceil(lengthBytes / PAGE));
}

export function planCompletionQueue(model: Model, entries: number, vector: number | null): Pending | null {
  const id = identifiers.find((one) => !model.completion.has(one));
  const iova = id === undefined ? null : queueMemory(model, entries * CQE_BYTES);
  if (id === undefined || iova === null) return null;
  return new CreateQueue(model, new CompletionRing(model.memory, iova, id, entries, vector, model.doorbells!));
}

export function planSubmissionQueue(model: Model, entries: number, to: number): Pending | null {
  const id = identifiers.find((one) => !model.submission.has(one));
  const live = [...model.completion.values()].filter((one) => one.id !== 0 && one.state === 'live');
  const completions = pick(live, to);
  if (id === undefined || completions === undefined) return null;
  const iova = queueMemory(model, entries * SQE_BYTES);
  if (iova === null) return null;
  return new CreateQueue(model, new SubmissionRing(model.memory, iova, id, entries, completions, model.doorbells!));
}

const entries = fc.constantFrom(2, 3, 4, 8, 16, 64, 100);

export const createCompletionQueue: fc.Arbitrary<Plan> = fc
  .record({ entries, vector: fc.constantFrom(null, 0, 1, 2, 3) })
  .map((drawn) => ({
    plan: (model) => planCompletionQueue(model, drawn.entries, model.vectors === 0 ? null : drawn.vector),
    toString: () => `createCompletionQueue ${fc.stringify(drawn)}`,
  }));

export const createSubmissionQueue: fc.Arbitrary<Plan> = fc.record({ entries, to: fc.nat(4) }).map((drawn) => ({
  plan: (model) => planSubmissionQueue(model, drawn.entries, drawn.to),
  toString: () => `createSubmissionQueue ${fc.stringify(drawn)}`,
}));

export const deleteSubmissionQueue: fc.Arbitrary<Plan> = fc.nat(4).map((index) => ({
  plan: (model) => {
    const queue = pick(model.ioQueues, index);
    if (queue === undefined) return null;
    // Or a deletion of its completion queue that is on its way may succeed.
    const { deleteCompletionQueue: opcode } = AdminOpcode;
    const needed = model.inFlight.some(({ sqe }) => sqe.opcode === opcode && sqe.cdw10 === queue.completions.id);
    return needed ? null : new DeleteSubmissionQueue(model, queue);
  },
  toString: () => `deleteSubmissionQueue ${index}`,
}));

export const deleteCompletionQueue: fc.Arbitrary<Plan> = fc.nat(4).map((index) => ({
  plan: (model) => {
    const live = [...model.completion.values()].filter(({ id, state }) => id !== 0 && state === 'live');
    const queue = pick(live, index);
    if (queue === undefined) return null;
    const users = [...model.submission.values()].filter(({ completions }) => completions === queue);
    if (users.length === 0) return new DeleteCompletionQueue(model, queue);
    // A user that comes or goes may be there or not.
    if (!users.some(({ state }) => state === 'live')) return null;
    if (users.some(({ state }) => state === 'deleting')) return null;
    const sqe = { opcode: AdminOpcode.deleteCompletionQueue, cdw10: queue.id };
    return new WrongQueue(model, sqe, Status.invalidQueueDeletion);
  },
  toString: () => `deleteCompletionQueue ${index}`,
}));

const { createCompletionQueue: createCq, createSubmissionQueue: createSq } = AdminOpcode;
const { deleteCompletionQueue: deleteCq, deleteSubmissionQueue: deleteSq } = AdminOpcode;
/** A page that exists: what is wrong must not be the memory. */
const good = (model: Model, id: number) => ({
  prp1: model.memory.ram.iova + model.memory.ram.sizeBytes - PAGE,
  cdw10: (7 << 16) | id,
  cdw11: 1,
});

const mistakes: readonly { readonly name: string; readonly of: (model: Model) => [NvmeCommand, ...number[]] }[] = [
  { name: 'CQ 0', of: (model) => [{ opcode: createCq, ...good(model, 0) }, Status.invalidQueueIdentifier] },
  { name: 'CQ 65', of: (model) => [{ opcode: createCq, ...good(model, 65) }, Status.invalidQueueIdentifier] },
  { name: 'SQ 65535', of: (model) => [{ opcode: createSq, ...good(model, 0xffff) }, Status.invalidQueueIdentifier] },
  { name: 'CQ of one', of: (model) => [{ opcode: createCq, ...good(model, 9), cdw10: 9 }, Status.invalidQueueSize] },
  {
    name: 'CQ of 65536',
    of: (model) => [{ opcode: createCq, ...good(model, 9), cdw10: 0xffff_0009 }, Status.invalidQueueSize],
  },
  {
    name: 'CQ between pages',
    of: (model) => [
      { opcode: createCq, ...good(model, 9), prp1: model.memory.ram.iova + 64 },
      Status.invalidPrpOffset,
      Status.invalidField,
    ],
  },
  {
    name: 'CQ in pieces',
    of: (model) => [{ opcode: createCq, ...good(model, 9), cdw11: 0 }, Status.invalidField],
  },
  {
    name: 'CQ with vector 999',
    of: (model) => [{ opcode: createCq, ...good(model, 9), cdw11: (999 << 16) | 3 }, Status.invalidInterruptVector],
  },
  {
    name: 'SQ to CQ 63',
    of: (model) => [
      { opcode: createSq, ...good(model, 9), cdw11: (63 << 16) | 1 },
      Status.completionQueueInvalid,
      Status.invalidQueueIdentifier,
    ],
  },
  { name: 'deletion of SQ 0', of: () => [{ opcode: deleteSq, cdw10: 0 }, Status.invalidQueueIdentifier] },
  { name: 'deletion of CQ 0', of: () => [{ opcode: deleteCq, cdw10: 0 }, Status.invalidQueueIdentifier] },
  { name: 'deletion of SQ 63', of: () => [{ opcode: deleteSq, cdw10: 63 }, Status.invalidQueueIdentifier] },
  { name: 'deletion of CQ 500', of: () => [{ opcode: deleteCq, cdw10: 500 }, Status.invalidQueueIdentifier] },
];

export const wrongQueue: fc.Arbitrary<Plan> = fc.constantFrom(...mistakes).map(({ name, of }) => ({
  plan: (model) => new WrongQueue(model, ...of(model)),
  toString: () => `wrongQueue ${name}`,
}));

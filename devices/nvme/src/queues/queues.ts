import type { StateArena } from '@sidecard/core';
import { queueCount } from '../limits.ts';
import { CompletionQueue, completionQueueColumns } from './completion-queue.ts';
import { SubmissionQueue, submissionQueueColumns } from './submission-queue.ts';

/** Every queue there can be, created or not; queue 0 of each kind is the admin queue. */
export class Queues {
  readonly submission: readonly SubmissionQueue[];
  readonly completion: readonly CompletionQueue[];
  /** The submission queues that exist: only these are looked at. */
  readonly active: SubmissionQueue[] = [];
  readonly activeCompletion: CompletionQueue[] = [];
  /** The ids of `active`, and how many: what is read on every turn. */
  readonly activeIds = new Int32Array(queueCount);
  activeCount = 0;

  constructor(state: StateArena) {
    const completionRows = state.table('nvme/cq', completionQueueColumns, queueCount);
    const submissionRows = state.table('nvme/sq', submissionQueueColumns, queueCount);
    this.completion = Array.from({ length: queueCount }, (_, id) => new CompletionQueue(id, completionRows));
    this.submission = Array.from(
      { length: queueCount },
      (_, id) => new SubmissionQueue(id, submissionRows, this.completion[0]!),
    );
  }

  /** What exists has changed. */
  update(): void {
    this.active.length = 0;
    this.activeCompletion.length = 0;
    for (const queue of this.submission) if (queue.created) this.active.push(queue);
    this.activeCount = 0;
    for (const queue of this.active) this.activeIds[this.activeCount++] = queue.id;
    for (const queue of this.completion) if (queue.created) this.activeCompletion.push(queue);
  }

  /** True while there is a queue besides the admin pair. */
  get anyIo(): boolean {
    return this.active.some((queue) => queue.id !== 0) || this.activeCompletion.some((queue) => queue.id !== 0);
  }

  clear(): void {
    for (const queue of this.active) queue.delete();
    for (const queue of this.activeCompletion) queue.delete();
    this.update();
  }
}

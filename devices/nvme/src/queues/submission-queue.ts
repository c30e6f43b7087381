import type { ColumnArrays } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import type { CompletionQueue } from './completion-queue.ts';

/** One row per submission queue, by its id. */
export const submissionQueueColumns = {
  created: 'u8',
  /** Delete has been asked for: nothing more is fetched. */
  deleting: 'u8',
  iova: 'f64',
  entries: { type: 'i32', unit: 'entries' },
  /** As told to the guest: what comes before has been fetched. */
  head: 'i32',
  /** The next entry to fetch; ahead of `head` while fetches are under way. */
  next: 'i32',
  tail: 'i32',
  completionQueue: 'i32',
  /** Its class, with weighted round robin. */
  priority: 'u8',
  /** The tail doorbell as last seen, in the mapped page or the shadow buffer. */
  seen: 'i32',
  /** The driver has written this queue's shadow doorbell: then a trapped write only says that there is news. */
  shadowed: 'u8',
  /** The doorbell as trapped since the shadow was looked at, or -1; while there are shadows. */
  trapped: 'i32',
} as const;
type SubmissionQueueRows = ColumnArrays<typeof submissionQueueColumns>;

/** NVMe Base 2.0, 3.3.1.1. The guest's view is in the rows; the rest follows from those of commands. */
export class SubmissionQueue {
  readonly id: number;
  readonly rows: SubmissionQueueRows;
  /** Where its commands complete. */
  completions: CompletionQueue;
  /** Commands fetched, or being fetched, that have not ended. */
  inFlight = 0;
  /** Fetches under way: 0 or 1 at any time with mapped memory. */
  fetching = 0;
  /** Fused commands that wait for the entry next to them, which is being fetched (fused.ts). */
  readonly halves: Command[] = [];
  /** The entry of a first half that was given back to be taken together with its second; -1: none. */
  pairAt = -1;
  /** The Delete command that waits for the commands in flight: that at step 1 with this queue's id. */
  deletion: Command | null = null;

  constructor(id: number, rows: SubmissionQueueRows, completions: CompletionQueue) {
    this.id = id;
    this.rows = rows;
    this.completions = completions;
  }

  get created(): boolean {
    return this.rows.created[this.id] !== 0;
  }
  get deleting(): boolean {
    return this.rows.deleting[this.id] !== 0;
  }
  get priority(): number {
    return this.rows.priority[this.id]!;
  }
  get entries(): number {
    return this.rows.entries[this.id]!;
  }
  get head(): number {
    return this.rows.head[this.id]!;
  }
  get tail(): number {
    return this.rows.tail[this.id]!;
  }
  /** Nothing to fetch. */
  get isEmpty(): boolean {
    return this.rows.next[this.id] === this.rows.tail[this.id];
  }

  create(iova: number, entries: number, completions: CompletionQueue, priority: number): void {
    const { rows, id } = this;
    rows.iova[id] = iova;
    rows.entries[id] = entries;
    rows.head[id] = 0;
    rows.next[id] = 0;
    rows.tail[id] = 0;
    rows.completionQueue[id] = completions.id;
    rows.priority[id] = priority;
    rows.seen[id] = 0;
    rows.shadowed[id] = 0;
    rows.trapped[id] = -1;
    rows.deleting[id] = 0;
    this.completions = completions;
    this.inFlight = 0;
    this.fetching = 0;
    this.deletion = null;
    this.halves.length = 0;
    this.pairAt = -1;
    if (!this.created) completions.users++;
    rows.created[id] = 1;
  }

  delete(): void {
    if (!this.created) return;
    this.rows.created[this.id] = 0;
    this.completions.users--;
  }

  /** The next entry to fetch. */
  get next(): number {
    return this.rows.next[this.id]!;
  }
  /** It is being fetched. */
  advance(): void {
    const { rows, id } = this;
    rows.next[id] = this.after(rows.next[id]!);
  }
  /** The last one that was fetched is the next again. */
  rewind(): void {
    const { rows, id } = this;
    rows.next[id] = this.before(rows.next[id]!);
    if (this.fetching === 0) rows.head[id] = rows.next[id]!;
  }

  after(entry: number): number {
    return entry + 1 === this.rows.entries[this.id]! ? 0 : entry + 1;
  }
  before(entry: number): number {
    return entry === 0 ? this.rows.entries[this.id]! - 1 : entry - 1;
  }

  /** A fetch has ended. The guest may reuse entries before `head`, so it only moves when none is under way. */
  fetched(): void {
    if (--this.fetching === 0) this.rows.head[this.id] = this.rows.next[this.id]!;
  }
}

import type { ColumnArrays } from '@sidecard/core';

/** One row per completion queue, by its id. */
export const completionQueueColumns = {
  created: 'u8',
  iova: 'f64',
  entries: { type: 'i32', unit: 'entries' },
  /** First entry that the guest has not consumed, and the next that is posted. */
  head: 'i32',
  tail: 'i32',
  phase: 'u8',
  vector: 'i32',
  interruptsEnabled: 'u8',
  /** The head doorbell as last seen, in the mapped page or the shadow buffer. */
  seen: 'i32',
  /** The driver has written this queue's shadow doorbell: then a trapped write only says that there is news. */
  shadowed: 'u8',
  /** The doorbell as trapped since the shadow was looked at, or -1; while there are shadows. */
  trapped: 'i32',
} as const;
type CompletionQueueRows = ColumnArrays<typeof completionQueueColumns>;

/** NVMe Base 2.0, 3.3.1.2. The guest's view is in the rows; the rest follows from those of commands and submission queues. */
export class CompletionQueue {
  readonly id: number;
  readonly rows: CompletionQueueRows;
  /** Entries promised to commands that are under way, so that a command that ends always finds one free. */
  reserved = 0;
  /** Entries posted that are on their way in messages: no interrupt may tell of them. */
  unpublished = 0;
  /** Something was posted that its interrupt does not tell yet. */
  dirty = false;
  /** Submission queues that complete here. */
  users = 0;

  constructor(id: number, rows: CompletionQueueRows) {
    this.id = id;
    this.rows = rows;
  }

  get created(): boolean {
    return this.rows.created[this.id] !== 0;
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
  get vector(): number {
    return this.rows.vector[this.id]!;
  }
  get interruptsEnabled(): boolean {
    return this.rows.interruptsEnabled[this.id] !== 0;
  }

  /** Entries posted that the guest has not consumed. */
  get used(): number {
    const used = this.rows.tail[this.id]! - this.rows.head[this.id]!;
    return used < 0 ? used + this.rows.entries[this.id]! : used;
  }

  /** The guest has entries to look at. */
  get visible(): boolean {
    return this.used > this.unpublished;
  }

  /** One entry stays empty, or full would look like empty. */
  get hasRoom(): boolean {
    return this.hasRoomFor(1);
  }
  hasRoomFor(entries: number): boolean {
    return this.used + this.reserved + entries < this.rows.entries[this.id]!;
  }
  /** Fused commands have room, once it is empty. */
  get takesPairs(): boolean {
    return this.rows.entries[this.id]! > 2;
  }

  create(iova: number, entries: number, vector: number, interruptsEnabled: boolean): void {
    const { rows, id } = this;
    rows.iova[id] = iova;
    rows.entries[id] = entries;
    rows.head[id] = 0;
    rows.tail[id] = 0;
    rows.phase[id] = 1;
    rows.vector[id] = vector;
    rows.interruptsEnabled[id] = interruptsEnabled ? 1 : 0;
    rows.seen[id] = 0;
    rows.shadowed[id] = 0;
    rows.trapped[id] = -1;
    this.reserved = 0;
    this.unpublished = 0;
    this.dirty = false;
    this.users = 0;
    rows.created[id] = 1;
  }

  delete(): void {
    this.rows.created[this.id] = 0;
    this.dirty = false;
  }

  /** The entry at the tail is taken. Its phase is that of `phase` before the call. */
  advance(): void {
    const { rows, id } = this;
    const slot = rows.tail[id]!;
    if (slot + 1 === rows.entries[id]!) {
      // In this order: a phase that is not that of the command posting at the tail has been turned already.
      rows.phase[id] = rows.phase[id]! ^ 1;
      rows.tail[id] = 0;
    } else {
      rows.tail[id] = slot + 1;
    }
  }

  /** The guest has consumed up to `head`. False when it cannot have: beyond the queue, or beyond what was posted. */
  consume(head: number): boolean {
    const entries = this.rows.entries[this.id]!;
    if (head >= entries) return false;
    let consumed = head - this.rows.head[this.id]!;
    if (consumed < 0) consumed += entries;
    if (consumed > this.used) return false;
    this.rows.head[this.id] = head;
    return true;
  }
}

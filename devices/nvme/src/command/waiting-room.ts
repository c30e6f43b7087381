import { Admission } from '@sidecard/block';
import type { ColumnArrays } from '@sidecard/core';
import type { Controller } from '../controller.ts';
import { waitingCommands } from '../limits.ts';
import type { SubmissionQueue } from '../queues/submission-queue.ts';
import { type Failure, Status } from '../status.ts';
import { type Command, Phase } from './command.ts';
import type { Processor } from './processor.ts';

/** The submission queue entry (NVMe Base 2.0, figure 87). Columns, and not records: there are many rows, and nobody reads their fields. */
const entryColumns = {
  dword0: 'i32',
  dword1: 'i32',
  dword2: 'i32',
  dword3: 'i32',
  dword4: 'i32',
  dword5: 'i32',
  dword6: 'i32',
  dword7: 'i32',
  dword8: 'i32',
  dword9: 'i32',
  dword10: 'i32',
  dword11: 'i32',
  dword12: 'i32',
  dword13: 'i32',
  dword14: 'i32',
  dword15: 'i32',
} as const;

/** One row per command that is laid aside. */
export const waitingColumns = {
  /** Its submission queue; 0: the row is free. Stored last. */
  queue: 'i32',
  ...entryColumns,
} as const;

/** A command that was fetched and has not begun: its entry in the row, and nothing else. */
class LaidAside extends Admission {
  readonly row: number;
  readonly #room: WaitingRoom;
  queue: SubmissionQueue | null = null;
  /** What it is to fail with, once it goes on. */
  refusal: Failure = Status.success;

  constructor(row: number, room: WaitingRoom) {
    super();
    this.row = row;
    this.#room = room;
  }

  admitted(): void {
    this.#room.admitted(this);
  }
}

/**
 * Where commands wait for the limits of their drive without a slot, so that those for other drives find slots however many they are. To their queues they
 * are in flight. A successor finds them in their rows, and lays them aside again.
 */
export class WaitingRoom {
  readonly #controller: Controller;
  readonly #processor: Processor;
  readonly #rows: ColumnArrays<typeof waitingColumns>;
  /** The columns of the entry, by the number of the dword. */
  readonly #dwords: readonly Int32Array[];
  readonly #all: (LaidAside | null)[] = new Array<LaidAside | null>(waitingCommands).fill(null);
  readonly #free = new Int32Array(waitingCommands);
  #freeCount = 0;
  /** Those that may go on, in their order: a ring. */
  readonly #ready: (LaidAside | null)[] = new Array<LaidAside | null>(waitingCommands).fill(null);
  #firstReady = 0;
  #readyCount = 0;

  constructor(controller: Controller, processor: Processor) {
    this.#controller = controller;
    this.#processor = processor;
    const rows = controller.host.state.table('nvme/waiting', waitingColumns, waitingCommands);
    this.#rows = rows;
    this.#dwords = Object.keys(entryColumns).map((name) => rows[name as keyof typeof entryColumns]);
    for (let row = waitingCommands - 1; row >= 0; row--) this.#free[this.#freeCount++] = row;
  }

  /** Rows that are taken. */
  get count(): number {
    return waitingCommands - this.#freeCount;
  }

  /** A place for a command that has not begun, or null; it is given back (`free`), or the command laid there. */
  take(): LaidAside | null {
    if (this.#freeCount === 0) return null;
    const row = this.#free[--this.#freeCount]!;
    this.#all[row] ??= new LaidAside(row, this);
    return this.#all[row]!;
  }

  free({ row }: LaidAside): void {
    this.#free[this.#freeCount++] = row;
  }

  /** Its slot is free after. In this order: a successor that finds it in both places drops one, since it has not begun. */
  lay(place: LaidAside, command: Command): void {
    for (let word = 0; word < 16; word++) this.#dwords[word]![place.row] = command.words[word]!;
    place.queue = command.queue;
    place.refusal = Status.success;
    this.#rows.queue[place.row] = command.queue.id;
    this.#processor.vacate(command);
  }

  /** Those that may go on do so, as far as there are slots. Whether there were any. */
  serve(): boolean {
    let worked = false;
    while (this.#readyCount > 0 && this.#controller.running) {
      if (!this.#begin(this.#ready[this.#firstReady]!, false)) break;
      this.#firstReady = (this.#firstReady + 1) % waitingCommands;
      this.#readyCount--;
      worked = true;
    }
    return worked;
  }

  admitted(place: LaidAside): void {
    this.#ready[(this.#firstReady + this.#readyCount++) % waitingCommands] = place;
    this.#controller.wake();
  }

  /** Ends those of a queue that wait, or the one of them with that CID; those of them that find no slot at once do so later. How many there were. */
  refuse(queue: SubmissionQueue, failure: Failure, cid: number | null): number {
    let count = 0;
    for (const place of this.#all) {
      if (place === null || place.limiter === null || place.queue !== queue) continue;
      if (cid !== null && this.#rows.dword0[place.row]! >>> 16 !== cid) continue;
      count++;
      place.limiter.withdraw(place);
      place.refusal = failure;
      if (!this.#begin(place, true)) this.admitted(place);
    }
    return count;
  }

  /** A reset: all that are here are disowned. */
  clear(): void {
    this.#readyCount = 0;
    for (const place of this.#all) {
      if (place === null || place.queue === null) continue;
      place.limiter?.withdraw(place);
      this.#vacate(place);
    }
  }

  /** False when there is no slot. @param urgent it takes one of those for admin commands, too: it is over at once. */
  #begin(place: LaidAside, urgent: boolean): boolean {
    const command = this.#processor.occupy(place.queue!, 1, urgent);
    if (command === null) return false;
    this.#move(place, command);
    this.#processor.begin(command, place.refusal);
    return true;
  }

  /** In an order like that of `lay`. */
  #move(place: LaidAside, command: Command): void {
    for (let word = 0; word < 16; word++) command.words[word] = this.#dwords[word]![place.row]!;
    command.admission.granted = true;
    command.phase = Phase.executing;
    this.#vacate(place);
  }

  #vacate(place: LaidAside): void {
    place.queue = null;
    this.#rows.queue[place.row] = 0;
    this.free(place);
  }
}

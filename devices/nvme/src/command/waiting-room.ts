import { Admission } from '@sidecard/block';
import type { Controller } from '../controller.ts';
import { waitingCommands } from '../limits.ts';
import type { SubmissionQueue } from '../queues/submission-queue.ts';
import { type Failure, Status } from '../status.ts';
import { type Command, Phase } from './command.ts';
import { SubmissionEntry } from './commands.ts';
import type { Processor } from './processor.ts';

/** One row per command that is laid aside. */
export const waitingColumns = {
  /** Its submission queue; 0: the row is free. Stored last. */
  queue: 'i32',
} as const;

/** A command that was fetched and has not begun: its entry, and nothing else. */
class LaidAside extends Admission {
  readonly row: number;
  readonly words: Int32Array;
  readonly #room: WaitingRoom;
  queue: SubmissionQueue | null = null;
  /** What it is to fail with, once it goes on. */
  refusal: Failure = Status.success;

  constructor(row: number, words: Int32Array, room: WaitingRoom) {
    super();
    this.row = row;
    this.words = words;
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
  readonly #rows;
  readonly #all: (LaidAside | null)[] = new Array<LaidAside | null>(waitingCommands).fill(null);
  readonly #entries;
  readonly #free = new Int32Array(waitingCommands);
  #freeCount = 0;
  /** Those that may go on, in their order: a ring. */
  readonly #ready: (LaidAside | null)[] = new Array<LaidAside | null>(waitingCommands).fill(null);
  #firstReady = 0;
  #readyCount = 0;

  constructor(controller: Controller, processor: Processor) {
    this.#controller = controller;
    this.#processor = processor;
    const { state } = controller.host;
    this.#rows = state.table('nvme/waiting', waitingColumns, waitingCommands);
    this.#entries = state.records('nvme/waiting/sqe', SubmissionEntry, waitingCommands);
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
    this.#all[row] ??= new LaidAside(row, this.#entries[row]!.buffer.words, this);
    return this.#all[row]!;
  }

  free({ row }: LaidAside): void {
    this.#free[this.#freeCount++] = row;
  }

  /** Its slot is free after. In this order: a successor that finds it in both places drops one, since it has not begun. */
  lay(place: LaidAside, command: Command): void {
    for (let word = 0; word < 16; word++) place.words[word] = command.words[word]!;
    place.queue = command.queue;
    place.refusal = Status.success;
    this.#rows.queue[place.row] = command.queue.id;
    this.#processor.vacate(command);
  }

  /** Those that may go on do so, as far as there are slots. Whether there were any. */
  serve(): boolean {
    let worked = false;
    while (this.#readyCount > 0 && this.#controller.running) {
      const place = this.#ready[this.#firstReady]!;
      const command = this.#processor.occupy(place.queue!, 1);
      if (command === null) break;
      this.#firstReady = (this.#firstReady + 1) % waitingCommands;
      this.#readyCount--;
      this.#move(place, command);
      this.#processor.begin(command, place.refusal);
      worked = true;
    }
    return worked;
  }

  admitted(place: LaidAside): void {
    this.#ready[(this.#firstReady + this.#readyCount++) % waitingCommands] = place;
    this.#controller.wake();
  }

  /** Ends those of a queue that wait, or the one of them with that CID, once they find slots. How many there were. */
  refuse(queue: SubmissionQueue, failure: Failure, cid: number | null): number {
    let count = 0;
    for (const place of this.#all) {
      if (place === null || place.limiter === null || place.queue !== queue) continue;
      if (cid !== null && place.words[0]! >>> 16 !== cid) continue;
      count++;
      place.limiter.withdraw(place);
      place.refusal = failure;
      this.admitted(place);
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

  /** In an order like that of `lay`. */
  #move(place: LaidAside, command: Command): void {
    for (let word = 0; word < 16; word++) command.words[word] = place.words[word]!;
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

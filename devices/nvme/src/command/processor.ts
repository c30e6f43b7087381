import type { GuestMemory } from '@sidecard/core';
import { adminOpcodes } from '../admin/admin.ts';
import type { Controller } from '../controller.ts';
import { runFused, tellHalves } from '../io/fused.ts';
import { ioOpcodes } from '../io/io.ts';
import { adminSlots, commandSlots, stagedCommands } from '../limits.ts';
import { Count } from '../namespaces/namespace.ts';
import type { CompletionQueue } from '../queues/completion-queue.ts';
import type { SubmissionQueue } from '../queues/submission-queue.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Command, type CommandRunner, commandColumns, Phase } from './command.ts';
import { CompletionEntry, SubmissionEntry } from './commands.ts';
import { WaitingRoom } from './waiting-room.ts';

/** Fields of dword 0: FUSE and PSDT. */
const fuse = 0x0300;
const psdt = 0xc000;
const unknownOpcode = mistake(Status.invalidOpcode, Field.opcode);
const wrongFuse = mistake(Status.invalidField, Field.flags);
const wrongPsdt = mistake(Status.invalidField, Field.flags, 6);

/**
 * Fetches commands, runs them, and posts their completions. What is counted and listed here, and in the queues' objects, a successor counts again
 * from the rows of the commands.
 */
export class Processor implements CommandRunner {
  readonly #controller: Controller;
  readonly #memory: GuestMemory;
  readonly #commands: (Command | null)[] = new Array<Command | null>(commandSlots).fill(null);
  readonly #free = new Int32Array(commandSlots);
  #freeCount = 0;
  readonly #rows;
  readonly #submissions;
  readonly #completions;
  /** Commands without a slot. */
  readonly waitingRoom: WaitingRoom;
  readonly #dirty: CompletionQueue[] = [];
  #dirtyCount = 0;
  #generation = 0;
  #stale = 0;
  #parked = 0;
  /** Commands that have ended with an error, of whatever namespace or none. */
  failed = 0;
  /** A queue had to wait for a slot. */
  #starved = false;

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#memory = controller.host.memory;
    const { state } = controller.host;
    this.#rows = state.table('nvme/command', commandColumns, commandSlots);
    this.#submissions = state.records('nvme/command/sqe', SubmissionEntry, commandSlots);
    this.#completions = state.records('nvme/command/cqe', CompletionEntry, commandSlots);
    this.waitingRoom = new WaitingRoom(controller, this);
    for (let slot = commandSlots - 1; slot >= 0; slot--) this.#free[this.#freeCount++] = slot;
  }

  /** Commands whose I/O may still touch guest or drive. Parked ones do not. */
  get inFlight(): number {
    return commandSlots - this.#freeCount - this.#parked;
  }
  /** Counts the resets: what commands are of, and what has been asked for by them. */
  get generation(): number {
    return this.#generation;
  }

  /** Fetches and runs what is in the queue, `burst` commands at most. How many it was. */
  serve(queue: SubmissionQueue, burst: number): number {
    if (queue.isEmpty || queue.fetching !== 0 || queue.deleting) return 0;
    let count = 0;
    let limit = burst;
    while (count < limit && !queue.isEmpty) {
      const completions = queue.completions;
      const wanted = queue.next === queue.pairAt ? 2 : 1;
      if (!completions.hasRoomFor(wanted)) {
        this.#controller.doorbells.lookAtHead(completions);
        if (!completions.hasRoomFor(wanted)) break;
      }
      const command = this.#take(queue, wanted);
      if (command === null) break;
      if (wanted === 2) limit = Math.max(limit, count + 2);
      // Recorded, then moved on: a successor that finds `next` at a command being fetched moves it.
      command.entry = queue.next;
      command.phase = Phase.fetching;
      queue.advance();
      count++;
      this.advance(command);
      // The command may have failed the controller, or have deleted the queue.
      if (!this.#controller.running || queue.deleting) break;
    }
    return count;
  }

  /** Takes the command as far as it goes now. */
  advance(command: Command): void {
    if (command.generation !== this.#generation) {
      this.#end(command);
      return;
    }
    if (command.phase === Phase.fetching && !this.#fetch(command)) return;
    if (command.phase === Phase.executing && !this.#execute(command)) return;
    this.#post(command);
  }

  resumed(command: Command): void {
    this.advance(command);
    this.#controller.wake();
  }

  /** A controller that has stopped begins nothing more: then the command stays as it is until a reset takes it back. */
  admitted(command: Command): void {
    if (!this.#controller.running) return;
    this.unpark(command);
    this.#controller.wake();
  }

  /** Ends the commands of a queue that wait for the limits of a drive, or the one of them with that CID (a fused operation by that of either half). How many there were. */
  refuseLimited(queue: SubmissionQueue, failure: Failure, cid: number | null = null): number {
    let count = this.waitingRoom.refuse(queue, failure, cid);
    for (const command of this.#commands) {
      if (command === null || command.queue !== queue || !command.isLimited) continue;
      if (cid !== null && command.cid !== cid && command.mate?.cid !== cid) continue;
      count++;
      command.admission.refuse(failure);
      this.unpark(command);
    }
    return count;
  }

  /** The command waits for something that is no I/O, and somebody calls `unpark`. Always false, so that handlers answer with it. */
  park(command: Command): false {
    command.parked = true;
    this.#parked++;
    return false;
  }

  unpark(command: Command): void {
    if (!command.parked) return;
    command.parked = false;
    this.#parked--;
    this.advance(command);
  }

  /** Whether an entry of a queue is being fetched. */
  isFetching(queue: SubmissionQueue, entry: number): boolean {
    return this.#commands.some(
      (command) => command?.phase === Phase.fetching && command.queue === queue && command.entry === entry,
    );
  }

  /** The last command that was taken from its queue is as if it had not been: it is taken again. */
  giveBack(command: Command): void {
    const { queue } = command;
    // In this order: a successor that finds `next` at a command being fetched moves it, and fetches the command.
    command.phase = Phase.fetching;
    queue.rewind();
    queue.completions.reserved--;
    this.#end(command);
  }

  /** Disowns every command: it ends without telling the guest. */
  disown(): void {
    this.#generation = (this.#generation + 1) | 0;
    this.#dirtyCount = 0;
    this.#starved = false;
    const last = (this.#generation - 1) | 0;
    const owned = this.#commands.filter((command) => command?.phase !== Phase.free && command?.generation === last);
    this.#stale += owned.length;
    for (const command of owned) if (command !== null) command.phase = Phase.disowned;
    for (const command of owned) if (command !== null) this.unpark(command);
    this.waitingRoom.clear();
    this.#controller.volatileWrites.forget();
  }

  /** Tells the guest of the completions posted since the last time. */
  interrupt(): void {
    for (let index = 0; index < this.#dirtyCount; index++) {
      const queue = this.#dirty[index]!;
      if (queue.dirty && queue.interruptsEnabled) this.#controller.interrupts.posted(queue);
      queue.dirty = false;
    }
    this.#dirtyCount = 0;
  }

  /** A command that has not begun, and is in its slot, goes on; or it fails. */
  begin(command: Command, failure: Failure): void {
    if (failure === Status.success) this.advance(command);
    else {
      command.fail(failure);
      this.#complete(command);
      this.#post(command);
    }
  }

  /** The command is laid aside: its slot is free, and to its queue it is in flight. */
  vacate(command: Command): void {
    command.phase = Phase.free;
    this.#free[this.#freeCount++] = command.slot;
    this.#feed();
  }

  #take(queue: SubmissionQueue, wanted: number): Command | null {
    // Where half of the slots are parked, the others are for those that were laid aside.
    if (this.#parked !== 0 && queue.id !== 0 && this.#parked > (commandSlots - this.#reserve) / 2) {
      this.#starved = true;
      return null;
    }
    const command = this.occupy(queue, wanted);
    if (command === null) return null;
    queue.inFlight++;
    queue.fetching++;
    queue.completions.reserved++;
    return command;
  }

  /** Slots that are not for I/O commands. */
  get #reserve(): number {
    return this.#memory.mapped ? adminSlots : commandSlots - stagedCommands;
  }

  /** A slot for a command of a queue, or null: then the controller is woken when there is one. @param wanted slots there have to be. */
  occupy(queue: SubmissionQueue, wanted: number, urgent = false): Command | null {
    if (this.#freeCount < (urgent || queue.id === 0 ? 0 : this.#reserve) + wanted) {
      this.#starved = true;
      return null;
    }
    const slot = this.#free[--this.#freeCount]!;
    const command = this.#commands[slot] ?? this.#create(slot, queue);
    command.generation = this.#generation;
    command.queue = queue;
    command.status = Status.success;
    command.result = 0;
    this.#rows.queue[slot] = queue.id;
    command.step = 0;
    command.cursor = 0;
    command.parameterLocation = 0xffff;
    command.specific = 0;
    command.lba = 0;
    command.readBytes = 0;
    command.writtenBytes = 0;
    command.clearsMarks = false;
    command.part = 0;
    return command;
  }

  #create(slot: number, queue: SubmissionQueue): Command {
    const [sqe, cqe] = [this.#submissions[slot]!, this.#completions[slot]!];
    const command = new Command(slot, this.#rows, sqe, cqe, this.#memory, queue, this);
    this.#commands[slot] = command;
    return command;
  }

  #fetch(command: Command): boolean {
    const queue = command.queue;
    const iova = queue.rows.iova[queue.id]! + command.entry * 64;
    const result = this.#memory.load(command, iova, command.sqe.buffer, 0, 64);
    if (result === 'pending') return false;
    queue.fetched();
    if (result === 'fault') {
      this.#controller.fatal('a submission queue is not in guest memory', { queue: queue.id, iova });
      this.#end(command);
      return false;
    }
    command.phase = Phase.executing;
    if (queue.halves.length !== 0) tellHalves(this.#controller, command);
    return true;
  }

  #execute(command: Command): boolean {
    const opcode = (command.queue.id === 0 ? adminOpcodes : ioOpcodes)[command.opcode]!;
    if ((command.words[0]! & fuse) !== 0 && command.queue.id !== 0) {
      if (!runFused(this.#controller, command)) return false;
    } else if (opcode === null) command.fail(unknownOpcode);
    else if ((command.words[0]! & fuse) !== 0) command.fail(wrongFuse);
    else if ((command.words[0]! & psdt) !== 0 && !allowsPsdt(command)) command.fail(wrongPsdt);
    else if (!opcode.run(this.#controller, command)) return false;
    this.#complete(command);
    if (command.readBytes + command.writtenBytes !== 0) this.#controller.health.completed(command);
    return true;
  }

  /** Its status is known. */
  #complete(command: Command): void {
    if (command.status !== Status.success) this.#failed(command);
    command.phase = Phase.completed;
  }

  #failed(command: Command): void {
    this.failed++;
    const counts = command.namespace?.counts;
    if (counts !== undefined) counts[Count.failedCommands] = counts[Count.failedCommands]! + 1;
    this.#controller.errors.completed(command);
  }

  #post(command: Command): void {
    const queue = command.queue;
    const completions = queue.completions;
    if (command.phase === Phase.completed) {
      const words = command.ending;
      const phase = completions.rows.phase[completions.id]!;
      words[1] = 0;
      words[2] = queue.rows.head[queue.id]! | (queue.id << 16);
      words[3] = command.cid | (((command.status << 1) | phase) << 16);
      // Recorded, then moved on, as in `serve`.
      command.entry = completions.tail;
      command.phase = Phase.posting;
      completions.advance();
      completions.reserved--;
    }
    const iova = completions.rows.iova[completions.id]! + command.entry * 16;
    const result = this.#memory.publish(command, iova, command.cqe.buffer, 0, 16);
    if (result === 'pending') {
      if (!command.unpublished) completions.unpublished++;
      command.unpublished = true;
      return;
    }
    if (command.unpublished) completions.unpublished--;
    if (result === 'fault') {
      this.#controller.fatal('a completion queue is not in guest memory', { queue: completions.id, iova });
    } else if (!completions.dirty) {
      completions.dirty = true;
      this.#dirty[this.#dirtyCount++] = completions;
    }
    this.#end(command);
  }

  #end(command: Command): void {
    command.release();
    if (command.isVolatile) this.#controller.volatileWrites.end(command);
    command.dmaEnded = null;
    command.unpublished = false;
    command.phase = Phase.free;
    this.#free[this.#freeCount++] = command.slot;
    if (command.generation !== this.#generation) {
      if (--this.#stale === 0) this.#controller.drained();
      return;
    }
    const queue = command.queue;
    queue.inFlight--;
    if (queue.inFlight === 0 && queue.deletion !== null) this.unpark(queue.deletion);
    this.#feed();
  }

  /** A slot is free. */
  #feed(): void {
    if (!this.#starved) return;
    this.#starved = false;
    this.#controller.wake();
  }
}

/** SGLs are for I/O commands (NVMe over PCIe Transport 1.0, 2.2); 11b is reserved. */
function allowsPsdt(command: Command): boolean {
  return command.queue.id !== 0 && (command.words[0]! & psdt) !== psdt;
}

import { BlockRequest, RangeHold } from '@sidecard/block';
import {
  type ColumnArrays,
  DmaTask,
  type GuestMemory,
  HostBuffer,
  type RecordOf,
  type ScatterList,
} from '@sidecard/core';
import { maxSegments } from '../limits.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import type { SubmissionQueue } from '../queues/submission-queue.ts';
import { doNotRetry, type Failure, locationOf, mayRetry, statusOf } from '../status.ts';
import { CommandAdmission } from './admission.ts';
import type { CompletionEntry, SubmissionEntry } from './commands.ts';
import { PrpWalk } from './prp.ts';
import { SglWalk } from './sgl.ts';

/** One row per command slot. `phase` is the word that a successor goes by (state.md, Completion in two steps). */
export const commandColumns = {
  phase: 'i32',
  /** Where the handler of the opcode is; each names its own steps, and begins at 0. */
  step: 'i32',
  /** Submission queue. */
  queue: 'i32',
  /** Entry of the submission queue, then entry of the completion queue. */
  entry: 'i32',
  /** Counts the pieces of commands that have several (ranges, namespaces). */
  cursor: 'i32',
} as const;
type CommandRows = ColumnArrays<typeof commandColumns>;

/**
 * `completed`: `cqe` has status and dword 0. `posting`: it is whole, and `entry` is its place in the completion queue, whose tail moves on after. `disowned`:
 * a reset has ended it, and only its I/O is waited for: a successor has the fence for that, and frees it.
 */
export const Phase = { free: 0, fetching: 1, executing: 2, completed: 3, posting: 4, disowned: 5 } as const;

/** What takes a command further, when what it waited for has ended: the processor. */
export interface CommandRunner {
  resumed(command: Command): void;
  /** The limits of the drive, which it waited for, let it go on. */
  admitted(command: Command): void;
}

/** What a command asks of a drive. */
class DriveRequest extends BlockRequest {
  readonly #command: Command;

  constructor(command: Command) {
    super();
    this.#command = command;
  }

  done(): void {
    this.#command.resume();
  }
}

/** A range of the drive that a command has alone. */
class CommandHold extends RangeHold {
  readonly #command: Command;

  constructor(command: Command) {
    super();
    this.#command = command;
  }

  held(): void {
    this.#command.resume();
  }
}

/**
 * One command, from its fetch to its completion. Pooled: what there is of it is in its slot of the arena (row, `sqe`, `cqe`), and a successor runs it from
 * there as its opcode says. Everything else is made again by that: data, lists and payload by the same steps, `parked` and `queue` from the row.
 */
export class Command extends DmaTask {
  readonly slot: number;
  readonly rows: CommandRows;
  readonly sqe: RecordOf<typeof SubmissionEntry>;
  /** The words of `sqe`: fields that are used for every command are read from here. */
  readonly words: Int32Array;
  readonly cqe: RecordOf<typeof CompletionEntry>;
  /** The words of `cqe`. */
  readonly ending: Int32Array;
  /** The guest's side of its data. */
  readonly data: ScatterList;
  readonly prp = new PrpWalk();
  readonly sgl = new SglWalk();
  readonly request: DriveRequest;
  readonly #runner: CommandRunner;
  queue: SubmissionQueue;
  /** Of the processor when this was fetched: an older one is disowned (as `phase` says to a successor). */
  generation = 0;
  /** Whose blocks it is for; it is not formatted or deleted as long. */
  namespace: Namespace | null = null;
  /** `data` has begun and wants a release; the same for `drive`. */
  holdsData = false;
  holdsDrive = false;
  /** Kept until something happens, and nothing of it is under way (Asynchronous Event Request, a deletion that waits). */
  parked = false;
  /** Where in the command its mistake is (Parameter Error Location), FFFFh when it failed by none. */
  parameterLocation = 0xffff;
  /** Command Specific Information of the error log, should it fail for want of capacity. */
  specific = 0;
  /** For the error log: the first block that it failed at, of commands on blocks. */
  lba = 0;
  /** What the SMART log counts of it, bytes. */
  readBytes = 0;
  writtenBytes = 0;
  /** It writes blocks that are marked uncorrectable (Write Uncorrectable). */
  clearsMarks = false;
  /** It is half of a fused operation: how far that has come (fused.ts), and the other half, once that is found. */
  part = 0;
  mate: Command | null = null;
  /** A write of it went to the drive that is not durable when it ends. */
  isVolatile = false;
  /** Its completion is on its way in messages. */
  unpublished = false;
  readonly #memory: GuestMemory;
  #payload: HostBuffer | null = null;
  #drive: ScatterList | null = null;
  #hold: CommandHold | null = null;
  #admission: CommandAdmission | null = null;
  #holdsRange = false;

  /** `resume`, for who defers it. */
  readonly goOn = () => this.resume();

  constructor(
    slot: number,
    rows: CommandRows,
    sqe: RecordOf<typeof SubmissionEntry>,
    cqe: RecordOf<typeof CompletionEntry>,
    memory: GuestMemory,
    queue: SubmissionQueue,
    runner: CommandRunner,
  ) {
    super();
    this.slot = slot;
    this.rows = rows;
    this.sqe = sqe;
    this.words = sqe.buffer.words;
    this.cqe = cqe;
    this.ending = cqe.buffer.words;
    this.#memory = memory;
    this.data = memory.scatterList(maxSegments);
    this.queue = queue;
    this.#runner = runner;
    this.request = new DriveRequest(this);
  }

  get phase(): number {
    return this.rows.phase[this.slot]!;
  }
  set phase(phase: number) {
    this.rows.phase[this.slot] = phase;
  }
  get step(): number {
    return this.rows.step[this.slot]!;
  }
  set step(step: number) {
    this.rows.step[this.slot] = step;
  }
  get entry(): number {
    return this.rows.entry[this.slot]!;
  }
  set entry(entry: number) {
    this.rows.entry[this.slot] = entry;
  }
  get cursor(): number {
    return this.rows.cursor[this.slot]!;
  }
  set cursor(cursor: number) {
    this.rows.cursor[this.slot] = cursor;
  }

  /** Status field of the completion, and its dword 0: in the arena from the moment when they are known. */
  get status(): number {
    return this.ending[3]! >>> 17;
  }
  set status(status: number) {
    this.ending[3] = status << 17;
  }
  get result(): number {
    return this.ending[0]!;
  }
  set result(result: number) {
    this.ending[0] = result;
  }

  get opcode(): number {
    return this.words[0]! & 0xff;
  }
  get cid(): number {
    return this.words[0]! >>> 16;
  }
  /** PSDT (NVMe Base 2.0, 3.3.3.1): its data is described by an SGL. Where the metadata would be makes no difference, there is none. */
  get usesSgl(): boolean {
    return (this.words[0]! & 0xc000) !== 0;
  }
  get nsid(): number {
    return this.words[1]! >>> 0;
  }
  get prp1(): number {
    return (this.words[6]! >>> 0) + (this.words[7]! >>> 0) * 0x1_0000_0000;
  }
  get prp2(): number {
    return (this.words[8]! >>> 0) + (this.words[9]! >>> 0) * 0x1_0000_0000;
  }
  /** First block of the commands that have one; rounded above 2**53, where no drive is. */
  get slba(): number {
    return (this.words[10]! >>> 0) + (this.words[11]! >>> 0) * 0x1_0000_0000;
  }
  /** Blocks of the commands that have them: NLB is 0-based (NVM 1.0, 3.2). */
  get blocks(): number {
    return (this.words[12]! & 0xffff) + 1;
  }

  /** Two pages of our own, for structures that admin commands hand over or lists that commands bring. Zeroes at first. */
  get payload(): HostBuffer {
    this.#payload ??= HostBuffer.alloc(8192);
    return this.#payload;
  }

  /** Memory of our own for the drive's side, where it is not the guest's (Compare, Copy, Verify). */
  get drive(): ScatterList {
    this.#drive ??= this.#memory.scatterList(maxSegments);
    return this.#drive;
  }

  /** Takes a range of the drive alone, under which its requests are made from then on: true when it is had at once, else it is resumed. */
  takeRange(offset: number, lengthBytes: number): boolean {
    this.#hold ??= new CommandHold(this);
    this.#hold.offset = offset;
    this.#hold.lengthBytes = lengthBytes;
    this.#holdsRange = true;
    this.request.under = this.#hold;
    return this.namespace!.backend.hold(this.#hold);
  }
  /** Why the range was not to be had, an errno; 0 when it is. */
  get rangeError(): number {
    return this.#holdsRange ? this.#hold!.error : 0;
  }
  /** After the last request under it. */
  letRangeGo(): void {
    if (!this.#holdsRange) return;
    this.#holdsRange = false;
    this.request.under = null;
    this.namespace!.backend.letGo(this.#hold!);
  }

  /** What it waits as for the limits of a drive, where there are any. */
  get admission(): CommandAdmission {
    this.#admission ??= new CommandAdmission(this);
    return this.#admission;
  }
  /** It waits for the limits of a drive: then it is parked. */
  get isLimited(): boolean {
    return this.#admission !== null && this.#admission.limiter !== null;
  }

  /** Lets all memory go, the range and the namespace. */
  release(): void {
    if (this.#admission !== null) this.#admission.clear();
    this.letRangeGo();
    this.mate = null;
    if (this.namespace !== null) {
      this.namespace.leave();
      this.namespace = null;
    }
    if (this.holdsData) {
      this.holdsData = false;
      this.data.release();
    }
    if (this.holdsDrive) {
      this.holdsDrive = false;
      this.#drive!.release();
    }
  }

  /** Ends it with an error. Always true, so that handlers answer with it. */
  fail(failure: Failure): true {
    const status = statusOf(failure);
    this.parameterLocation = locationOf(failure);
    this.status = mayRetry(status) ? status : status | doNotRetry;
    return true;
  }

  resume(): void {
    this.#runner.resumed(this);
  }

  admitted(): void {
    this.#runner.admitted(this);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock, Timer } from '@sidecard/core';
import type { BlockBackend, BlockGeometry, BlockRequest, RangeHold } from './backend.ts';
import { Deadlines } from './deadlines.ts';
import type { DriveHost } from './drive.ts';
import type { DurableFile } from './durable-file.ts';
import { ETIMEDOUT } from './errno.ts';
import { StallRecord } from './stall-record.ts';
import { TimedData } from './timed-data.ts';
import { TimedHolds } from './timed-holds.ts';
import { type RequestKeeper, TimedRequest } from './timed-request.ts';

/**
 * A drive whose requests end in time (on-stall=error; storage.md, Stalls): what is older than the limit ends with ETIMEDOUT, wherever it is.
 * What the drive still has then goes on without its maker, with its data in memory of ours; and until all of it has ended the drive gets nothing new,
 * so that no old write lands on a later one. Ranges are locked here and not in the drive, where whoever waits for one would look like a stall.
 */
export class TimedBackend implements BlockBackend, RequestKeeper {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly description: string;
  readonly wakeFd?: number;
  inFlight = 0;
  readonly #drive: BlockBackend;
  readonly #limitMs: number;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #holds: TimedHolds;
  readonly #data: TimedData;
  readonly #stall: StallRecord;
  readonly #pool: TimedRequest[] = [];
  /** Have their range, and wait for buffers or for the end of a stall. */
  readonly #queue: TimedRequest[] = [];
  /** Requests that the drive has. */
  #atDrive = 0;
  #settling = false;
  #closing: Promise<void> | null = null;

  constructor(drive: BlockBackend, limitMs: number, host: Pick<DriveHost, 'native' | 'clock' | 'log'>) {
    this.#drive = drive;
    this.#limitMs = limitMs;
    this.#clock = host.clock;
    this.geometry = drive.geometry;
    this.identitySeed = drive.identitySeed;
    this.description = drive.description;
    if (drive.wakeFd !== undefined) this.wakeFd = drive.wakeFd;
    this.#deadlines = new Deadlines(host.clock, limitMs, () => this.#expire());
    this.#holds = new TimedHolds(this.#deadlines, drive.geometry.alignmentBytes, () => this.#settle());
    this.#data = new TimedData(host.native);
    this.#stall = new StallRecord(drive.description, limitMs, host);
  }

  get stalled(): boolean {
    return this.#stall.underWay;
  }

  get failure(): string | null {
    return this.#drive.failure;
  }

  clearFailure(): void {
    this.#drive.clearFailure();
  }

  submit(request: BlockRequest): boolean {
    if (request.under !== null && !this.#holds.allows(request, request.under)) {
      request.error = ETIMEDOUT;
      return true;
    }
    const timed = this.#pool.pop() ?? new TimedRequest(this);
    timed.begin(request);
    if (this.#hasRange(timed, request) && this.#go(timed)) {
      request.error = timed.error;
      this.#release(timed);
      return true;
    }
    this.inFlight++;
    this.#deadlines.add(timed);
    return false;
  }

  commit(): void {
    this.#drive.commit();
  }

  hold(hold: RangeHold): boolean {
    return this.#holds.hold(hold);
  }

  letGo(hold: RangeHold): void {
    this.#holds.letGo(hold);
    this.#settle();
    this.#drive.commit();
  }

  remeasure(): boolean {
    return this.#drive.remeasure();
  }

  setSize(sizeBytes: number): Promise<void> {
    return this.#drive.setSize(sizeBytes);
  }

  beside(suffix: string): DurableFile | null {
    return this.#drive.beside(suffix);
  }

  poll(): boolean {
    if (!this.#drive.poll()) return false;
    this.#drive.commit();
    return true;
  }

  arm(): boolean {
    this.#deadlines.rest();
    return this.#drive.arm === undefined || this.#drive.arm();
  }

  disarm(): void {
    this.#drive.disarm?.();
  }

  /** Waits for a drive that has stalled no longer than a request would. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.commit();
    // Those that are too old end by themselves.
    while (this.inFlight > 0) if (!this.poll()) await sleep(1);
    const closing = this.#drive.close();
    if (await this.#isLate(closing)) {
      closing.catch(() => {});
      throw new Error(
        `drive ${this.description}: has not answered for ${this.#limitMs / 1000} s, what was not durable may be lost`,
      );
    }
    this.#deadlines.stop();
    this.#data.close();
    await closing;
  }

  granted(timed: TimedRequest): void {
    if (this.#go(timed)) this.#finish(timed);
  }

  ended(timed: TimedRequest): void {
    this.#atDrive--;
    if (timed.outer === null) {
      this.#release(timed);
      this.#settle();
    } else if (this.#partEnded(timed) || this.#go(timed)) this.#finish(timed);
    else if (this.#stall.underWay) this.#settle();
  }

  late(timed: TimedRequest): void {
    const outer = timed.outer!;
    this.#stall.failed(timed.where === 'atDrive');
    timed.outer = null;
    if (timed.where === 'inQueue') this.#queue.splice(this.#queue.indexOf(timed), 1);
    if (timed.where !== 'atDrive') this.#release(timed);
    this.inFlight--;
    outer.error = ETIMEDOUT;
    this.#settle();
    outer.done();
  }

  /** Something may be too old, unless it has ended meanwhile. */
  #expire(): void {
    this.poll();
    this.#deadlines.expire();
    this.#drive.commit();
  }

  #hasRange(timed: TimedRequest, request: BlockRequest): boolean {
    const { operation, under, offset, lengthBytes } = request;
    if (operation === 'read' || operation === 'flush' || under !== null) return true;
    timed.where = 'atRange';
    return this.#holds.share(timed.range, offset, lengthBytes);
  }

  /** Gives the next part of a request that has its range to the drive, or has it wait for that. True when it has ended at once. */
  #go(timed: TimedRequest): boolean {
    // Who is in the midst has its buffers, and waits behind nobody who wants some.
    const waits = timed.bufferCount === 0 && (this.#queue.length > 0 || !this.#data.take(timed));
    if (!waits && !this.#stall.underWay) return this.#issue(timed);
    this.#data.give(timed);
    timed.where = 'inQueue';
    this.#queue.push(timed);
    return false;
  }

  #issue(timed: TimedRequest): boolean {
    do {
      timed.error = this.#data.load(timed);
      if (timed.error !== 0) return true;
      timed.where = 'atDrive';
      this.#atDrive++;
      if (!this.#drive.submit(timed)) return false;
      this.#atDrive--;
    } while (!this.#partEnded(timed));
    return true;
  }

  /** The drive has ended a part: true when it was the last, or has failed. */
  #partEnded(timed: TimedRequest): boolean {
    if (timed.error === 0) timed.error = this.#data.store(timed);
    if (timed.error !== 0) return true;
    timed.progress += timed.lengthBytes;
    return timed.progress >= timed.outer!.lengthBytes;
  }

  #finish(timed: TimedRequest): void {
    const outer = timed.outer!;
    outer.error = timed.error;
    this.#deadlines.remove(timed);
    this.#release(timed);
    this.inFlight--;
    this.#settle();
    outer.done();
  }

  #release(timed: TimedRequest): void {
    this.#data.give(timed);
    if (timed.range.slot >= 0) this.#holds.give(timed.range);
    timed.outer = null;
    timed.where = 'nowhere';
    this.#pool.push(timed);
  }

  /** Something has ended: starts what waited for it. What ends meanwhile comes back here, and the first call sees to it. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      if (this.#stall.underWay && this.#atDrive === 0) this.#stall.ended();
      this.#holds.grant();
      while (this.#queue.length > 0 && !this.#stall.underWay && this.#data.take(this.#queue[0]!)) {
        const next = this.#queue.shift()!;
        if (this.#issue(next)) this.#finish(next);
        this.#holds.grant();
      }
    } finally {
      this.#settling = false;
    }
  }

  async #isLate(closing: Promise<void>): Promise<boolean> {
    let timer: Timer | null = null;
    const late = new Promise<boolean>((resolve) => {
      timer = this.#clock.setTimer(this.#limitMs, () => resolve(true));
    });
    const ended = closing.then(
      () => false,
      () => false,
    );
    const first = await Promise.race([ended, late]);
    (timer as Timer | null)?.cancel();
    return first;
  }
}

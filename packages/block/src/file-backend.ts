import { setTimeout as sleep } from 'node:timers/promises';
import { Fallocate } from '@sidecard/native';
import { Alignment } from './alignment.ts';
import type { BlockBackend, BlockGeometry, BlockRequest, RangeHold } from './backend.ts';
import { BouncedAccess } from './bounced-access.ts';
import { DriveError, type DriveHost, type DriveOptions } from './drive.ts';
import { DurableFile } from './durable-file.ts';
import { EINVAL, EROFS, errnoText } from './errno.ts';
import { ErrorLog } from './error-log.ts';
import { FileRing, tellOfThreads } from './file-ring.ts';
import { FileSlots } from './file-slots.ts';
import { FileSteps } from './file-steps.ts';
import { FlushRecord } from './flush-record.ts';
import { type ImageFile, usableBytes } from './image-file.ts';
import { checkSize, truncateFile } from './image-size.ts';
import { OwnFlush } from './own-flush.ts';
import { RangeHolds } from './range-holds.ts';
import { RangeLocks } from './range-locks.ts';
import { RangeOperations } from './range-operations.ts';
import { RequestQueue } from './request-queue.ts';

const SLOTS = 256;
/** Slots for requests under a hold: those that wait for its range may have all the others. */
const HOLDERS_SLOTS = 16;
/** FileSlots.locked: in the drive's table of ranges, or in that of requests under holds. */
const LOCKED = 1;
const LOCKED_UNDER = 2;
const MAX_SEGMENTS = 128;
/** While closing: turns of the event loop before it is slow enough to sleep. */
const BUSY_TURNS = 1000;
const PUNCH = Fallocate.punchHole | Fallocate.keepSize;

export interface FileBackendOptions {
  readonly drive: DriveOptions;
  readonly image: ImageFile;
  readonly identitySeed: Uint8Array;
  /** No io_uring. */
  readonly forceThreads?: boolean;
}

/** A raw image or a block device (storage.md, The file backend). */
export class FileBackend implements BlockBackend {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly description: string;
  inFlight = 0;
  readonly #host: DriveHost;
  readonly #image: ImageFile;
  readonly #flushes: FlushRecord;
  readonly #slots = new FileSlots(SLOTS);
  readonly #ring: FileRing;
  readonly #locks = new RangeLocks(SLOTS);
  readonly #holds = new RangeHolds(this.#locks, (slot) => this.#steps.proceed(slot));
  /** A request or hold waits for a range or a slot; one look instead of four when a request ends. */
  #anyWaits = false;
  readonly #waiting = new RequestQueue();
  readonly #waitingUnder = new RequestQueue();
  /** Of requests under holds, which lock only each other out: two that read, modify and write back one block. */
  readonly #locksUnder = new RangeLocks(SLOTS);
  readonly #alignment: Alignment;
  readonly #bounced: BouncedAccess | null;
  readonly #discards: boolean;
  #closing: Promise<void> | null = null;
  /** Its file is being given another size: until then what it has says nothing. */
  #resizing = false;
  /** It has been written to. */
  #changed = false;
  readonly #steps: FileSteps;
  /** By suffix: one of each, since each does one replacement after the other. */
  readonly #beside = new Map<string, DurableFile>();

  constructor(options: FileBackendOptions, host: DriveHost) {
    const { drive, image } = options;
    const { native } = host;
    this.#host = host;
    this.#image = image;
    const writeThrough = drive.cache === 'writethrough';
    this.#ring = new FileRing(native, image.fd, this.#slots, MAX_SEGMENTS, options.forceThreads ?? false);
    if (this.#ring.ring.kind === 'threads') tellOfThreads(host.log);
    this.#alignment = new Alignment(image.directBytes, image.directMemoryBytes);
    this.#bounced = this.#alignment.none ? null : new BouncedAccess(native, this.#ring, this.#slots, this.#alignment);
    this.#flushes = new FlushRecord(drive.path, host.log);
    this.description = drive.path;
    this.identitySeed = options.identitySeed;
    // A hole beyond the end changes nothing, and tells whether holes are to be had.
    const end = Math.ceil(image.sizeBytes / image.blockBytes) * image.blockBytes;
    const holes =
      !image.blockDevice && !drive.readOnly && native.fallocate(image.fd, PUNCH, end, image.blockBytes) === 0;
    this.#discards = drive.discard === 'unmap' && (holes || image.blockDevice);
    this.#steps = new FileSteps({
      slots: this.#slots,
      ring: this.#ring,
      alignment: this.#alignment,
      bounced: this.#bounced,
      ranges: new RangeOperations(image, this.#ring, this.#slots, this.#discards),
      flushes: this.#flushes,
      errors: new ErrorLog(drive.path, host.log, host.clock),
      writeThrough,
      finish: (slot, errno) => this.#finish(slot, errno),
    });
    this.geometry = {
      sizeBytes: image.sizeBytes,
      alignmentBytes: image.directBytes,
      discardGranularityBytes: image.blockBytes,
      readOnly: drive.readOnly,
      volatileCache: !writeThrough && !drive.readOnly,
      discardReadsZeroes: holes && this.#discards,
    };
  }

  get wakeFd(): number {
    return this.#ring.ring.eventFd;
  }

  get failure(): string | null {
    return this.#flushes.failure;
  }

  clearFailure(): void {
    this.#flushes.clear();
  }

  submit(request: BlockRequest): boolean {
    request.error = this.#refusal(request);
    if (request.error !== 0 || this.#needsNothing(request)) return true;
    this.inFlight++;
    if (request.under !== null) this.#submitUnder(request, request.under);
    else if (this.#slots.free > HOLDERS_SLOTS) this.#start(request);
    else {
      this.#waiting.push(request);
      this.#anyWaits = true;
    }
    return false;
  }

  commit(): void {
    this.#ring.submit();
  }

  hold(hold: RangeHold): boolean {
    // With O_DIRECT a write of less than a block has all of it, as in #start.
    const start = this.#alignment.floor(hold.offset);
    if (this.#holds.take(hold, start, this.#alignment.ceil(hold.offset + hold.lengthBytes) - start)) return true;
    this.#anyWaits = true;
    return false;
  }

  letGo(hold: RangeHold): void {
    this.#holds.give(hold);
    if (!this.#anyWaits) return;
    this.#resume();
    this.#ring.submit();
  }

  remeasure(): boolean {
    if (this.#resizing) return false;
    const { log, native } = this.#host;
    const drive = this.description;
    const fileBytes = native.fileSize(this.#image.fd);
    if (fileBytes < 0) {
      log.warn({ drive, error: errnoText(-fileBytes) }, 'its size cannot be had: it stays as it was');
      return false;
    }
    const was = this.geometry.sizeBytes;
    const sizeBytes = usableBytes(fileBytes, this.#image);
    if (sizeBytes === was) return false;
    this.geometry.sizeBytes = sizeBytes;
    log.info({ drive, sizeBytes, was }, 'has another size');
    return true;
  }

  async setSize(sizeBytes: number): Promise<void> {
    const { native, log } = this.#host;
    checkSize(native, this.#image, this.geometry, sizeBytes);
    const was = this.geometry.sizeBytes;
    // Nothing new comes to what is cut off.
    if (sizeBytes < was) this.geometry.sizeBytes = sizeBytes;
    this.#resizing = true;
    const errno = await truncateFile(native, this.#image.fd, sizeBytes);
    this.#resizing = false;
    if (errno !== 0) {
      this.geometry.sizeBytes = was;
      throw new DriveError('failure', `drive ${this.description}: ${errnoText(errno)}`, errno);
    }
    this.#changed = true;
    this.geometry.sizeBytes = sizeBytes;
    log.info({ drive: this.description, sizeBytes, was }, 'has another size');
  }

  beside(suffix: string): DurableFile | null {
    if (this.#image.blockDevice) return null;
    const file = this.#beside.get(suffix) ?? new DurableFile(this.#image.path + suffix);
    this.#beside.set(suffix, file);
    return file;
  }

  poll(): boolean {
    const ring = this.#ring.ring;
    const count = ring.poll();
    if (count === 0) return false;
    for (let i = 0; i < count; i++) this.#steps.completed(ring.completions[2 * i]!, ring.completions[2 * i + 1]!);
    this.#ring.submit();
    return true;
  }

  arm(): boolean {
    this.#ring.submit();
    return this.#ring.arm();
  }

  disarm(): void {
    this.#ring.disarm();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // What was never written to closes at once.
    if (this.inFlight > 0) await this.#drained();
    // Not by fdatasync(2) itself: a drive that stalls would keep everything else of this process, too.
    if (this.#changed && !this.submit(new OwnFlush())) await this.#drained();
    this.#ring.close();
    this.#bounced?.close();
    this.#host.native.close(this.#image.fd);
    if (this.failure !== null) throw new Error(`drive ${this.description}: ${this.failure}`);
  }

  async #drained(): Promise<void> {
    this.commit();
    for (let turns = 0; this.inFlight > 0; turns++) {
      if (!this.poll()) await (turns < BUSY_TURNS ? new Promise((resolve) => setImmediate(resolve)) : sleep(1));
    }
  }

  /** What is wrong with a request, 0 or an errno. */
  #refusal(request: BlockRequest): number {
    const { operation, offset, lengthBytes } = request;
    const writes = operation !== 'read' && operation !== 'flush';
    if (writes && this.geometry.readOnly) return EROFS;
    if (operation === 'flush') return this.geometry.readOnly ? 0 : this.#flushes.errno;
    if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.geometry.sizeBytes)) return EINVAL;
    return writes && this.#steps.isDurable(request) ? this.#flushes.errno : 0;
  }

  #needsNothing(request: BlockRequest): boolean {
    if (request.operation === 'flush') return this.geometry.readOnly;
    return request.lengthBytes === 0 || (request.operation === 'discard' && !this.#discards);
  }

  #submitUnder(request: BlockRequest, hold: RangeHold): void {
    this.#holds.check(request, hold);
    if (this.#slots.free > 0) this.#start(request);
    else {
      this.#waitingUnder.push(request);
      this.#anyWaits = true;
    }
  }

  #start(request: BlockRequest): void {
    const slot = this.#slots.take(request);
    const { operation } = request;
    if (operation === 'read' || operation === 'flush') {
      this.#steps.proceed(slot);
      return;
    }
    this.#changed = true;
    const alone = operation !== 'discard' && !this.#alignment.wholeBlocks(request);
    // Whoever reads, modifies and writes back blocks has all of them, not only its own bytes in them.
    const start = this.#alignment.floor(request.offset);
    const end = this.#alignment.ceil(request.offset + request.lengthBytes);
    const under = request.under !== null;
    this.#slots.locked[slot] = under ? LOCKED_UNDER : LOCKED;
    if ((under ? this.#locksUnder : this.#locks).take(slot, start, end - start, alone)) this.#steps.proceed(slot);
    else this.#anyWaits = true;
  }

  #finish(slot: number, errno: number): void {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    request.error = errno;
    this.#bounced?.release(slot);
    const locked = slots.locked[slot]!;
    if (locked !== 0) {
      slots.locked[slot] = 0;
      if (locked === LOCKED) this.#locks.release(slot);
      else this.#locksUnder.release(slot);
    }
    slots.give(slot);
    this.inFlight--;
    if (this.#anyWaits) this.#resume();
    request.done();
  }

  /** Starts what waited for a range or a slot, as far as there are now. */
  #resume(): void {
    const slots = this.#slots;
    this.#holds.grant();
    for (let next = this.#locksUnder.next(); next >= 0; next = this.#locksUnder.next()) this.#steps.proceed(next);
    while (this.#waitingUnder.count > 0 && slots.free > 0) this.#start(this.#waitingUnder.shift());
    while (this.#waiting.count > 0 && slots.free > HOLDERS_SLOTS) this.#start(this.#waiting.shift());
    const queued = this.#waiting.count + this.#waitingUnder.count;
    this.#anyWaits = queued + this.#locks.waiting + this.#locksUnder.waiting > 0;
  }
}

import { Fallocate, RequestOp, WriteFlags } from '@sidecard/native';
import { Alignment } from './alignment.ts';
import type { BlockBackend, BlockGeometry, BlockRequest, RangeHold } from './backend.ts';
import { BouncedAccess } from './bounced-access.ts';
import type { DriveHost, DriveOptions } from './drive.ts';
import type { DurableFile } from './durable-file.ts';
import { EAGAIN, EINTR, EINVAL, EIO, ENOSYS, EOPNOTSUPP, EROFS } from './errno.ts';
import { ErrorLog } from './error-log.ts';
import { FileRing, tellOfThreads } from './file-ring.ts';
import { FileSlots, type Phase } from './file-slots.ts';
import { FlushGroups } from './flush-groups.ts';
import { FlushRecord } from './flush-record.ts';
import type { ImageFile } from './image-file.ts';
import { RangeHolds } from './range-holds.ts';
import { RangeLocks } from './range-locks.ts';
import { RangeOperations } from './range-operations.ts';
import { RequestQueue } from './request-queue.ts';
import { zero } from './segment-bytes.ts';

const SLOTS = 256;
/** Slots for requests under a hold: those that wait for its range may have all the others. */
const HOLDERS_SLOTS = 16;
const MAX_SEGMENTS = 128;
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
  readonly #flushGroups: FlushGroups;
  readonly #slots = new FileSlots(SLOTS);
  readonly #ring: FileRing;
  readonly #locks = new RangeLocks(SLOTS);
  readonly #holds = new RangeHolds(this.#locks, (slot) => this.#proceed(slot));
  readonly #waiting = new RequestQueue();
  readonly #waitingUnder = new RequestQueue();
  /** Of requests under holds, which lock only each other out: two that read, modify and write back one block. */
  readonly #locksUnder = new RangeLocks(SLOTS);
  readonly #alignment: Alignment;
  readonly #bounced: BouncedAccess | null;
  readonly #writeThrough: boolean;
  readonly #discards: boolean;
  readonly #ranges: RangeOperations;
  /** Until the file has refused RWF_DSYNC. */
  #dsync = true;
  readonly #errors: ErrorLog;

  constructor(options: FileBackendOptions, host: DriveHost) {
    const { drive, image } = options;
    const { native } = host;
    this.#host = host;
    this.#image = image;
    this.#writeThrough = drive.cache === 'writethrough';
    this.#ring = new FileRing(native, image.fd, this.#slots, MAX_SEGMENTS, options.forceThreads ?? false);
    if (this.#ring.ring.kind === 'threads') tellOfThreads(host.log);
    this.#alignment = new Alignment(image.directBytes, image.directMemoryBytes);
    this.#bounced = this.#alignment.none ? null : new BouncedAccess(native, this.#ring, this.#slots, this.#alignment);
    this.#flushes = new FlushRecord(drive.path, host.log);
    this.#flushGroups = new FlushGroups(this.#ring);
    this.#errors = new ErrorLog(drive.path, host.log);
    this.description = drive.path;
    this.identitySeed = options.identitySeed;
    // A hole beyond the end changes nothing, and tells whether holes are to be had.
    const end = Math.ceil(image.sizeBytes / image.blockBytes) * image.blockBytes;
    const holes =
      !image.blockDevice && !drive.readOnly && native.fallocate(image.fd, PUNCH, end, image.blockBytes) === 0;
    this.#discards = drive.discard === 'unmap' && (holes || image.blockDevice);
    this.#ranges = new RangeOperations(image, this.#ring, this.#slots, this.#discards);
    this.geometry = {
      sizeBytes: image.sizeBytes,
      alignmentBytes: image.directBytes,
      discardGranularityBytes: image.blockBytes,
      readOnly: drive.readOnly,
      volatileCache: !this.#writeThrough && !drive.readOnly,
      discardReadsZeroes: holes && this.#discards,
    };
  }

  get wakeFd(): number {
    return this.#ring.ring.eventFd;
  }

  /** Why flushes fail, or null. They go on failing until `clearFailure`. */
  get failure(): string | null {
    return this.#flushes.failure;
  }

  /** The operator has seen that acknowledged data may be lost. */
  clearFailure(): void {
    this.#flushes.clear();
  }

  submit(request: BlockRequest): boolean {
    request.error = this.#refusal(request);
    if (request.error !== 0 || this.#needsNothing(request)) return true;
    this.inFlight++;
    if (request.under !== null) this.#submitUnder(request, request.under);
    else if (this.#slots.free > HOLDERS_SLOTS) this.#start(request);
    else this.#waiting.push(request);
    return false;
  }

  commit(): void {
    this.#ring.submit();
  }

  hold(hold: RangeHold): boolean {
    // With O_DIRECT a write of less than a block has all of it, as in #start.
    const start = this.#alignment.floor(hold.offset);
    return this.#holds.take(hold, start, this.#alignment.ceil(hold.offset + hold.lengthBytes) - start);
  }

  letGo(hold: RangeHold): void {
    this.#holds.give(hold);
    if (this.#locks.waiting === 0) return;
    this.#holds.grant();
    this.#ring.submit();
  }

  remeasure(): boolean {
    return false;
  }

  beside(_suffix: string): DurableFile | null {
    return null;
  }

  poll(): boolean {
    const ring = this.#ring.ring;
    const count = ring.poll();
    if (count === 0) return false;
    for (let i = 0; i < count; i++) this.#completed(ring.completions[2 * i]!, ring.completions[2 * i + 1]!);
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

  async close(): Promise<void> {
    this.commit();
    while (this.inFlight > 0) {
      this.poll();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { native } = this.#host;
    const result = this.geometry.readOnly ? 0 : native.fdatasync(this.#image.fd);
    this.#ring.close();
    this.#bounced?.close();
    native.close(this.#image.fd);
    if (result < 0) this.#flushes.failed(-result);
    if (this.failure !== null) throw new Error(`drive ${this.description}: ${this.failure}`);
  }

  /** What is wrong with a request, 0 or an errno. */
  #refusal(request: BlockRequest): number {
    const { operation, offset, lengthBytes } = request;
    const writes = operation !== 'read' && operation !== 'flush';
    if (writes && this.geometry.readOnly) return EROFS;
    if (operation === 'flush') return this.geometry.readOnly ? 0 : this.#flushes.errno;
    if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.geometry.sizeBytes)) return EINVAL;
    return writes && this.#durable(request) ? this.#flushes.errno : 0;
  }

  #needsNothing(request: BlockRequest): boolean {
    if (request.operation === 'flush') return this.geometry.readOnly;
    return request.lengthBytes === 0 || (request.operation === 'discard' && !this.#discards);
  }

  /** Whether it has to be durable before it is done. */
  #durable(request: BlockRequest): boolean {
    return request.operation !== 'discard' && (request.fua || this.#writeThrough);
  }

  #submitUnder(request: BlockRequest, hold: RangeHold): void {
    this.#holds.check(request, hold);
    if (this.#slots.free > 0) this.#start(request);
    else this.#waitingUnder.push(request);
  }

  #start(request: BlockRequest): void {
    const slot = this.#slots.take(request);
    const { operation } = request;
    if (operation === 'read' || operation === 'flush') {
      this.#proceed(slot);
      return;
    }
    const alone = operation !== 'discard' && !this.#alignment.wholeBlocks(request);
    // Whoever reads, modifies and writes back blocks has all of them, not only its own bytes in them.
    const start = this.#alignment.floor(request.offset);
    const end = this.#alignment.ceil(request.offset + request.lengthBytes);
    const locks = request.under === null ? this.#locks : this.#locksUnder;
    this.#slots.locked[slot] = 1;
    if (locks.take(slot, start, end - start, alone)) this.#proceed(slot);
  }

  /** The first step of a request that has its range. */
  #proceed(slot: number): void {
    const request = this.#slots.request[slot]!;
    switch (request.operation) {
      case 'read':
      case 'write':
        if (this.#alignment.takes(request)) this.#transfer(slot);
        else this.#bounced!.begin(slot);
        break;
      case 'flush':
        this.#sync(slot, 'flush');
        break;
      case 'writeZeroes':
        if (!this.#ranges.writeZeroes(slot, request)) this.#zeroByHand(slot, request);
        break;
      case 'discard':
        this.#ranges.discard(slot, request);
        break;
    }
  }

  #transfer(slot: number): void {
    const request = this.#slots.request[slot]!;
    const reads = request.operation === 'read';
    const flags = !reads && this.#dsync && this.#durable(request) ? WriteFlags.dsync : 0;
    const position = request.offset + this.#slots.progress[slot]!;
    this.#slots.phase[slot] = 'transfer';
    this.#ring.transfer(slot, request.segments!, reads ? RequestOp.read : RequestOp.write, position, flags);
  }

  #zeroByHand(slot: number, request: BlockRequest): void {
    if (!this.#alignment.wholeBlocks(request)) {
      this.#bounced!.begin(slot);
      return;
    }
    this.#slots.phase[slot] = 'zeroWrite';
    const done = this.#slots.progress[slot]!;
    this.#ring.writeZeroes(slot, request.offset + done, request.lengthBytes - done);
  }

  #sync(slot: number, phase: 'flush' | 'sync'): void {
    this.#slots.phase[slot] = phase;
    this.#flushGroups.add(slot);
  }

  #completed(slot: number, result: number): void {
    const phase = this.#slots.phase[slot]!;
    if (result === -EAGAIN || result === -EINTR) this.#again(slot, phase);
    else if (result < 0) this.#failed(slot, phase, -result);
    else this.#succeeded(slot, phase, result);
  }

  #succeeded(slot: number, phase: Phase, result: number): void {
    const request = this.#slots.request[slot]!;
    switch (phase) {
      case 'transfer':
      case 'zeroWrite':
        this.#transferred(slot, request, phase, result);
        break;
      case 'fill':
      case 'bounceRead':
      case 'bounceWrite': {
        const step = this.#bounced!.completed(slot, result);
        if (step === 'failed') this.#finish(slot, EIO);
        else if (step === 'done') this.#written(slot, request, false);
        break;
      }
      case 'punch':
      case 'zeroRange':
      case 'zeroOut':
        this.#written(slot, request, false);
        break;
      case 'discard':
        this.#finish(slot, 0);
        break;
      case 'flush':
      case 'sync':
        // A durable write may have met the error that this flush was to report.
        this.#flushed(this.#flushes.errno);
        break;
    }
  }

  #transferred(slot: number, request: BlockRequest, phase: 'transfer' | 'zeroWrite', result: number): void {
    const left = request.lengthBytes - this.#slots.progress[slot]!;
    if (result === 0) {
      if (request.operation !== 'read') {
        this.#finish(slot, EIO);
        return;
      }
      // The file ends before the drive does.
      zero(request.segments!, this.#slots.progress[slot]!, left);
      this.#finish(slot, 0);
      return;
    }
    const durable = this.#saidDurable(slot, phase);
    this.#slots.advance(slot, result);
    if (result >= left) this.#written(slot, request, durable);
    else if (phase === 'zeroWrite') this.#zeroByHand(slot, request);
    // What is left of a transfer that was cut inside a block goes by way of a buffer.
    else if (result % this.#alignment.blockBytes !== 0) this.#bounced!.begin(slot);
    else this.#transfer(slot);
  }

  /** Whether the call under way was to make its write durable. */
  #saidDurable(slot: number, phase: Phase): boolean {
    const { flags } = this.#ring.ring;
    return phase === 'transfer' && flags[slot] === WriteFlags.dsync;
  }

  /** The data is with the kernel; durable too, where the call has said so. */
  #written(slot: number, request: BlockRequest, durable: boolean): void {
    if (request.operation !== 'read' && !durable && this.#durable(request)) this.#sync(slot, 'sync');
    else this.#finish(slot, 0);
  }

  #again(slot: number, phase: Phase): void {
    const request = this.#slots.request[slot]!;
    if (phase === 'transfer') this.#transfer(slot);
    else if (phase === 'zeroWrite') this.#zeroByHand(slot, request);
    else if (phase === 'flush' || phase === 'sync') this.#flushGroups.again();
    else if (phase === 'fill' || phase === 'bounceRead' || phase === 'bounceWrite') this.#bounced!.begin(slot);
    else this.#proceed(slot);
  }

  #failed(slot: number, phase: Phase, errno: number): void {
    const request = this.#slots.request[slot]!;
    const durable = this.#saidDurable(slot, phase);
    if (durable && (errno === EOPNOTSUPP || errno === ENOSYS)) {
      this.#dsync = false;
      this.#transfer(slot);
      return;
    }
    const refusal = this.#ranges.refused(phase, errno);
    if (refusal === 'ended') this.#finish(slot, 0);
    else if (refusal === 'byHand') this.#zeroByHand(slot, request);
    else {
      const flushed = phase === 'flush' || phase === 'sync';
      if (flushed || durable) this.#flushes.failedIn(phase, errno);
      this.#errors.report(request, errno);
      if (flushed) this.#flushed(errno);
      else this.#finish(slot, errno);
    }
  }

  /** An fdatasync has ended, for all that waited for it. */
  #flushed(errno: number): void {
    this.#flushGroups.ended((slot) => this.#finish(slot, errno));
  }

  #finish(slot: number, errno: number): void {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    request.error = errno;
    this.#bounced?.release(slot);
    if (slots.locked[slot] === 1) {
      slots.locked[slot] = 0;
      if (request.under === null) this.#locks.release(slot);
      else this.#locksUnder.release(slot);
    }
    slots.give(slot);
    this.inFlight--;
    if (this.#locks.waiting > 0) this.#holds.grant();
    if (this.#locksUnder.waiting > 0)
      for (let next = this.#locksUnder.next(); next >= 0; next = this.#locksUnder.next()) this.#proceed(next);
    while (this.#waitingUnder.count > 0 && slots.free > 0) this.#start(this.#waitingUnder.shift());
    while (this.#waiting.count > 0 && slots.free > HOLDERS_SLOTS) this.#start(this.#waiting.shift());
    request.done();
  }
}

import { Fallocate, RequestOp, WriteFlags } from '@sidecard/native';
import type { BlockBackend, BlockGeometry, BlockRequest } from './backend.ts';
import { BounceBuffers } from './bounce-buffers.ts';
import { BouncedAccess } from './bounced-access.ts';
import type { DriveHost, DriveOptions } from './drive.ts';
import { EAGAIN, EBUSY, EINTR, EINVAL, EIO, ENOSYS, EOPNOTSUPP, EROFS, errnoText } from './errno.ts';
import { FileRing } from './file-ring.ts';
import { FileSlots, type Phase } from './file-slots.ts';
import { FlushRecord } from './flush-record.ts';
import type { ImageFile } from './image-file.ts';
import { RangeLocks } from './range-locks.ts';
import { RequestQueue } from './request-queue.ts';
import { zero } from './segment-bytes.ts';

const SLOTS = 256;
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
  readonly #slots = new FileSlots(SLOTS);
  readonly #ring: FileRing;
  readonly #locks = new RangeLocks(SLOTS);
  readonly #waiting = new RequestQueue();
  readonly #bounced: BouncedAccess | null;
  readonly #buffers: BounceBuffers | null;
  /** Slots that wait for a bounce buffer. */
  readonly #unbuffered: number[] = [];
  readonly #writeThrough: boolean;
  readonly #discards: boolean;
  // What the file has turned out not to support.
  #punches = true;
  #zeroes = true;
  #zeroesOut: boolean;
  #dsync = true;
  /** Errors that were logged: each once. */
  readonly #logged = new Set<string>();

  constructor(options: FileBackendOptions, host: DriveHost) {
    const { drive, image } = options;
    const { native } = host;
    this.#host = host;
    this.#image = image;
    this.#writeThrough = drive.cache === 'writethrough';
    this.#zeroesOut = image.blockDevice;
    this.#ring = new FileRing(native, image.fd, this.#slots, MAX_SEGMENTS, options.forceThreads ?? false);
    this.#buffers = image.directBytes > 1 || image.directMemoryBytes > 1 ? new BounceBuffers(native) : null;
    this.#bounced = this.#buffers && new BouncedAccess(this.#buffers, this.#ring, this.#slots, image.directBytes);
    this.#flushes = new FlushRecord(drive.path, host.log);
    this.description = drive.path;
    this.identitySeed = options.identitySeed;
    // A hole beyond the end changes nothing, and tells whether holes are to be had.
    const end = Math.ceil(image.sizeBytes / image.blockBytes) * image.blockBytes;
    const holes =
      !image.blockDevice && !drive.readOnly && native.fallocate(image.fd, PUNCH, end, image.blockBytes) === 0;
    this.#discards = drive.discard === 'unmap' && (holes || image.blockDevice);
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
    if (this.#slots.anyFree) this.#start(request);
    else this.#waiting.push(request);
    return false;
  }

  commit(): void {
    this.#ring.submit();
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
    this.#buffers?.close();
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

  #start(request: BlockRequest): void {
    const slot = this.#slots.take(request);
    const { operation } = request;
    if (operation === 'read' || operation === 'flush') {
      this.#proceed(slot);
      return;
    }
    const alone = this.#bounced !== null && operation !== 'discard' && !this.#wholeBlocks(request);
    const align = this.#image.directBytes;
    // Whoever reads, modifies and writes back blocks has all of them, not only its own bytes in them.
    const start = request.offset - (request.offset % align);
    const end = Math.ceil((request.offset + request.lengthBytes) / align) * align;
    this.#slots.locked[slot] = 1;
    if (this.#locks.take(slot, start, end - start, alone)) this.#proceed(slot);
  }

  /** The first step of a request that has its range. */
  #proceed(slot: number): void {
    const request = this.#slots.request[slot]!;
    switch (request.operation) {
      case 'read':
      case 'write':
        if (this.#bounced !== null && !this.#takesDirectly(request)) this.#bounce(slot);
        else this.#transfer(slot);
        break;
      case 'flush':
        this.#sync(slot, 'flush');
        break;
      case 'writeZeroes':
        this.#writeZeroes(slot, request);
        break;
      case 'discard':
        this.#slots.phase[slot] = 'discard';
        if (this.#image.blockDevice) this.#ring.range(slot, RequestOp.discard, request.offset, request.lengthBytes, 0);
        else this.#ring.punchHole(slot, request.offset, request.lengthBytes);
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

  #bounce(slot: number): void {
    const buffer = this.#buffers!.take();
    if (buffer < 0) {
      this.#unbuffered.push(slot);
      return;
    }
    this.#slots.bounce[slot] = buffer;
    this.#bounced!.begin(slot);
  }

  /** The cheapest way that the file has not refused yet. */
  #writeZeroes(slot: number, request: BlockRequest): void {
    const { offset, lengthBytes } = request;
    if (this.#slots.progress[slot] === 0 && request.mayDeallocate && this.#discards && this.#punches) {
      this.#slots.phase[slot] = 'punch';
      this.#ring.punchHole(slot, offset, lengthBytes);
    } else if (this.#zeroes && !this.#image.blockDevice) {
      this.#slots.phase[slot] = 'zeroRange';
      this.#ring.zeroRange(slot, offset, lengthBytes);
    } else if (this.#zeroesOut) {
      this.#slots.phase[slot] = 'zeroOut';
      this.#ring.range(slot, RequestOp.zeroOut, offset, lengthBytes, 0);
    } else this.#zeroByHand(slot, request);
  }

  #zeroByHand(slot: number, request: BlockRequest): void {
    if (this.#bounced !== null && !this.#wholeBlocks(request)) {
      this.#bounce(slot);
      return;
    }
    this.#slots.phase[slot] = 'zeroWrite';
    const done = this.#slots.progress[slot]!;
    this.#ring.writeZeroes(slot, request.offset + done, request.lengthBytes - done);
  }

  #sync(slot: number, phase: 'flush' | 'sync'): void {
    this.#slots.phase[slot] = phase;
    this.#ring.flush(slot);
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
      case 'flush':
      case 'sync':
        // A failure that was found meanwhile covers this flush too.
        this.#finish(slot, phase === 'discard' ? 0 : this.#flushes.errno);
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
    this.#slots.advance(slot, result);
    if (result >= left) this.#written(slot, request, phase === 'transfer' && this.#dsync);
    else if (phase === 'zeroWrite') this.#zeroByHand(slot, request);
    else if (this.#bounced !== null && result % this.#image.directBytes !== 0) this.#bounceRest(slot, request);
    else this.#transfer(slot);
  }

  /** The rest of a short direct transfer is no longer aligned: a read meets the end of the file, a write goes by way of a buffer. */
  #bounceRest(slot: number, request: BlockRequest): void {
    if (request.operation !== 'read') {
      this.#finish(slot, EIO);
      return;
    }
    zero(request.segments!, this.#slots.progress[slot]!, request.lengthBytes - this.#slots.progress[slot]!);
    this.#finish(slot, 0);
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
    else if (phase === 'flush' || phase === 'sync') this.#sync(slot, phase);
    else if (phase === 'fill' || phase === 'bounceRead' || phase === 'bounceWrite') this.#bounced!.begin(slot);
    else this.#proceed(slot);
  }

  #failed(slot: number, phase: Phase, errno: number): void {
    const request = this.#slots.request[slot]!;
    const unsupported = errno === EOPNOTSUPP || errno === ENOSYS;
    // fallocate and the ioctls refuse ranges that are not whole sectors.
    const refused = unsupported || errno === EINVAL || errno === EBUSY;
    if (phase === 'transfer' && unsupported && this.#dsync && this.#durable(request)) {
      this.#dsync = false;
      this.#transfer(slot);
    } else if (phase === 'discard' && refused) this.#finish(slot, 0);
    else if (phase === 'punch' && refused) {
      if (unsupported) this.#punches = false;
      this.#zeroByHand(slot, request);
    } else if (phase === 'zeroRange' && refused) {
      if (unsupported) this.#zeroes = false;
      this.#zeroByHand(slot, request);
    } else if (phase === 'zeroOut' && refused) {
      if (unsupported) this.#zeroesOut = false;
      this.#zeroByHand(slot, request);
    } else {
      const syncs =
        phase === 'flush' || phase === 'sync' || (phase === 'transfer' && this.#dsync && this.#durable(request));
      if (syncs && request.operation !== 'read') this.#flushes.failedIn(phase, errno);
      this.#report(request, errno);
      this.#finish(slot, errno);
    }
  }

  #finish(slot: number, errno: number): void {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    request.error = errno;
    if (slots.bounce[slot]! >= 0) {
      this.#buffers!.give(slots.bounce[slot]!);
      slots.bounce[slot] = -1;
    }
    if (slots.locked[slot] === 1) {
      slots.locked[slot] = 0;
      this.#locks.release(slot);
    }
    slots.give(slot);
    this.inFlight--;
    if (this.#locks.waiting > 0)
      for (let next = this.#locks.next(); next >= 0; next = this.#locks.next()) this.#proceed(next);
    if (this.#unbuffered.length > 0 && this.#buffers!.anyFree) this.#bounce(this.#unbuffered.shift()!);
    if (this.#waiting.count > 0) this.#start(this.#waiting.shift());
    request.done();
  }

  /** O_DIRECT takes whole blocks from aligned memory. */
  #takesDirectly(request: BlockRequest): boolean {
    const segments = request.segments!;
    const memory = this.#image.directMemoryBytes;
    const align = this.#image.directBytes;
    if (!this.#wholeBlocks(request)) return false;
    for (let i = 0; i < segments.count; i++) {
      if (segments.offset[i]! % memory !== 0 || segments.length[i]! % align !== 0) return false;
    }
    return true;
  }

  #wholeBlocks(request: BlockRequest): boolean {
    const align = this.#image.directBytes;
    return request.offset % align === 0 && request.lengthBytes % align === 0;
  }

  #report(request: BlockRequest, errno: number): void {
    const key = `${request.operation} ${errno}`;
    if (this.#logged.has(key)) return;
    this.#logged.add(key);
    const fields = { drive: this.description, offset: request.offset, bytes: request.lengthBytes };
    this.#host.log.error(fields, `${request.operation} failed: ${errnoText(errno)} (said once)`);
  }
}

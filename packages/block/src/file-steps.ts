import { RequestOp, WriteFlags } from '@sidecard/native';
import type { Alignment } from './alignment.ts';
import type { BlockRequest } from './backend.ts';
import type { BouncedAccess } from './bounced-access.ts';
import { EAGAIN, EINTR, EIO, ENOSYS, EOPNOTSUPP } from './errno.ts';
import type { ErrorLog } from './error-log.ts';
import type { FileRing } from './file-ring.ts';
import type { FileSlots, Phase } from './file-slots.ts';
import { FlushGroups } from './flush-groups.ts';
import type { FlushRecord } from './flush-record.ts';
import type { RangeOperations } from './range-operations.ts';
import { zero } from './segment-bytes.ts';

export interface FileStepsParts {
  readonly slots: FileSlots;
  readonly ring: FileRing;
  readonly alignment: Alignment;
  /** Null where every access is taken as it is. */
  readonly bounced: BouncedAccess | null;
  readonly ranges: RangeOperations;
  readonly flushes: FlushRecord;
  readonly errors: ErrorLog;
  /** Every write is durable before it is done. */
  readonly writeThrough: boolean;
  /** Called once for each request that `proceed` has started. */
  readonly finish: (slot: number, errno: number) => void;
}

/** What a request that has its slot and its range does at the file, call by call, until it has ended. */
export class FileSteps {
  readonly #slots: FileSlots;
  readonly #ring: FileRing;
  readonly #alignment: Alignment;
  readonly #bounced: BouncedAccess | null;
  readonly #ranges: RangeOperations;
  readonly #flushes: FlushRecord;
  readonly #flushGroups: FlushGroups;
  readonly #errors: ErrorLog;
  readonly #writeThrough: boolean;
  readonly #finish: (slot: number, errno: number) => void;
  /** Until the file has refused RWF_DSYNC. */
  #dsync = true;

  constructor(parts: FileStepsParts) {
    this.#slots = parts.slots;
    this.#ring = parts.ring;
    this.#alignment = parts.alignment;
    this.#bounced = parts.bounced;
    this.#ranges = parts.ranges;
    this.#flushes = parts.flushes;
    this.#flushGroups = new FlushGroups(parts.ring);
    this.#errors = parts.errors;
    this.#writeThrough = parts.writeThrough;
    this.#finish = parts.finish;
  }

  /** Whether it has to be durable before it is done. */
  isDurable(request: BlockRequest): boolean {
    return request.operation !== 'discard' && (request.fua || this.#writeThrough);
  }

  /** The first step of a request that has its range. */
  proceed(slot: number): void {
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

  /** A call has ended, with this result. */
  completed(slot: number, result: number): void {
    const phase = this.#slots.phase[slot]!;
    if (result === -EAGAIN || result === -EINTR) this.#again(slot, phase);
    else if (result < 0) this.#failed(slot, phase, -result);
    else this.#succeeded(slot, phase, result);
  }

  #transfer(slot: number): void {
    const request = this.#slots.request[slot]!;
    const reads = request.operation === 'read';
    const flags = !reads && this.#dsync && this.isDurable(request) ? WriteFlags.dsync : 0;
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
    if (request.operation !== 'read' && !durable && this.isDurable(request)) this.#sync(slot, 'sync');
    else this.#finish(slot, 0);
  }

  #again(slot: number, phase: Phase): void {
    const request = this.#slots.request[slot]!;
    if (phase === 'transfer') this.#transfer(slot);
    else if (phase === 'zeroWrite') this.#zeroByHand(slot, request);
    else if (phase === 'flush' || phase === 'sync') this.#flushGroups.again();
    else if (phase === 'fill' || phase === 'bounceRead' || phase === 'bounceWrite') this.#bounced!.begin(slot);
    else this.proceed(slot);
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
}

import { type DmaDirection, type DmaTask, type GuestMemory, HostBuffer, type ScatterList } from '@sidecard/core';
import { sglDescriptors, sglPieces } from '../limits.ts';
import { type Failure, Field, mistake, Status, type StatusCode, walkPending } from '../status.ts';

/** SGL Support (NVMe Base 2.0, figure 275): no alignment asked for; bit buckets; SGLs longer than the data. No keys, no offsets, no metadata. */
export const sglSupport = 0b01 | (1 << 16) | (1 << 18);

/** SGL Identifier: descriptor types that there are, with sub type 0h, Address (figures 116 and 117). */
const Identifier = { dataBlock: 0x00, bitBucket: 0x10, segment: 0x20, lastSegment: 0x30 } as const;

/** Where the fields of a descriptor begin, bytes. */
const At = { address: 0, length: 8, identifier: 15 } as const;
const descriptorBytes = 16;
/** The word of SGL1 in the submission queue entry. */
const sgl1 = Field.sgl1 / 4;

/** Descriptors fetched at once: few enough to be copied without garbage where memory is mapped, many where each fetch is a message. */
const mappedBytes = 32 * descriptorBytes;
const messageBytes = 256 * descriptorBytes;

/**
 * Scatter Gather Lists (NVMe Base 2.0, 4.1.2): SGL1 in the command is the data, or names a segment of descriptors, whose last one may name the next. A
 * segment that names none is the last, whatever it was announced as. What comes after the data is not looked at.
 *
 * A walk is part of a command's record, as PrpWalk is: where a segment is fetched by messages it is entered again.
 */
export class SglWalk {
  #copy: HostBuffer | null = null;
  #toGuest = false;
  /** Bytes that still want a place; 0 is the end. */
  #remaining = 0;
  /** Where the segment goes on, in two words, and how much there is of it. */
  readonly #next = new Int32Array(2);
  #leftBytes = 0;
  /** The segment was named by a Last Segment descriptor. */
  #isLast = false;
  /** Of one fetch; a fetch that was begun goes on as it was. */
  #fetchBytes = 0;
  #inCommand = false;
  #pieces = 0;
  #descriptors = 0;

  /**
   * Adds the data of a transfer to `scatter`, which has begun; pending: there is a segment to `walk`.
   * @param words of the submission queue entry.
   * @returns a failure, or 0; Data Transfer Error (04h) where the guest named memory that isn't there.
   */
  begin(scatter: ScatterList, words: Int32Array, direction: DmaDirection, lengthBytes: number): Failure {
    this.#toGuest = direction === 'toGuest';
    this.#remaining = lengthBytes;
    this.#leftBytes = 0;
    this.#isLast = false;
    this.#fetchBytes = 0;
    this.#pieces = 0;
    this.#descriptors = 0;
    this.#inCommand = true;
    const failure = this.#take(scatter, words, sgl1, true);
    if (failure !== Status.success || this.#remaining === 0) return failure;
    if (this.#leftBytes === 0) return this.#wrong(Status.invalidSglLength, At.length);
    this.#inCommand = false;
    return walkPending;
  }

  /** Walks the segments, to be called until it answers something else than pending. */
  walk(task: DmaTask, memory: GuestMemory, scatter: ScatterList): Failure {
    this.#copy ??= HostBuffer.alloc(messageBytes);
    while (this.#remaining > 0) {
      if (this.#leftBytes === 0) return this.#wrong(Status.invalidSglLength, At.length);
      if (this.#fetchBytes === 0)
        this.#fetchBytes = Math.min(this.#leftBytes, memory.mapped ? mappedBytes : messageBytes);
      const bytes = this.#fetchBytes;
      const count = bytes / descriptorBytes;
      if (this.#descriptors + count > sglDescriptors) return this.#wrong(Status.invalidSglCount, At.address);
      const result = memory.loadAt(task, this.#next, 0, this.#copy, 0, bytes);
      if (result === 'pending') return walkPending;
      if (result === 'fault') return Status.dataTransferError;
      this.#fetchBytes = 0;
      this.#descriptors += count;
      this.#leftBytes -= bytes;
      const low = (this.#next[0]! >>> 0) + bytes;
      this.#next[0] = low;
      if (low >= 0x1_0000_0000) this.#next[1]!++;
      const failure = this.#takeAll(scatter, this.#copy.words, count);
      if (failure !== Status.success) return failure;
    }
    return Status.success;
  }

  #takeAll(scatter: ScatterList, words: Int32Array, count: number): Failure {
    const ends = this.#leftBytes === 0;
    for (let index = 0; index < count && this.#remaining > 0; index++) {
      const failure = this.#take(scatter, words, index * 4, ends && index === count - 1);
      if (failure !== Status.success) return failure;
    }
    return Status.success;
  }

  /** The descriptor that begins at a word. */
  #take(scatter: ScatterList, words: Int32Array, at: number, endsSegment: boolean): Failure {
    const lengthBytes = words[at + 2]! >>> 0;
    switch (words[at + 3]! >>> 24) {
      case Identifier.dataBlock:
        return lengthBytes === 0 ? Status.success : this.#takeBlock(scatter, words, at, lengthBytes);
      case Identifier.bitBucket:
        // For data that the guest gives, as if its length were 0 (figure 119).
        return lengthBytes === 0 || !this.#toGuest ? Status.success : this.#takeBucket(scatter, lengthBytes);
      case Identifier.segment:
        return this.#enter(words, at, lengthBytes, endsSegment, false);
      case Identifier.lastSegment:
        return this.#enter(words, at, lengthBytes, endsSegment, true);
      default:
        return this.#wrong(Status.invalidSglType, At.identifier);
    }
  }

  #takeBlock(scatter: ScatterList, words: Int32Array, at: number, lengthBytes: number): Failure {
    if (isBeyond(words, at, lengthBytes)) return this.#wrong(Status.invalidSglLength, At.length);
    if (++this.#pieces > sglPieces) return this.#wrong(Status.invalidSglCount, At.address);
    const wanted = Math.min(lengthBytes, this.#remaining);
    if (!scatter.addAt(words, at, wanted)) return Status.dataTransferError;
    this.#remaining -= wanted;
    return Status.success;
  }

  #takeBucket(scatter: ScatterList, lengthBytes: number): Failure {
    if (++this.#pieces > sglPieces) return this.#wrong(Status.invalidSglCount, At.address);
    const dropped = Math.min(lengthBytes, this.#remaining);
    if (!scatter.addSink(dropped)) return Status.internalError;
    this.#remaining -= dropped;
    return Status.success;
  }

  /** What Invalid SGL Segment Descriptor and Invalid Number of SGL Descriptors are for: NVMe Base 2.0, 4.2.3.1. */
  #enter(words: Int32Array, at: number, lengthBytes: number, endsSegment: boolean, isLast: boolean): Failure {
    if (!endsSegment) return this.#wrong(Status.invalidSglCount, At.identifier);
    if (this.#isLast) return this.#wrong(Status.invalidSglSegment, At.identifier);
    if (lengthBytes === 0 || lengthBytes % descriptorBytes !== 0) {
      return this.#wrong(Status.invalidSglSegment, At.length);
    }
    if ((words[at]! & 7) !== 0) return this.#wrong(Status.invalidSglSegment, At.address);
    if (isBeyond(words, at, lengthBytes)) return this.#wrong(Status.invalidSglLength, At.length);
    this.#next[0] = words[at]!;
    this.#next[1] = words[at + 1]!;
    this.#leftBytes = lengthBytes;
    this.#isLast = isLast;
    return Status.success;
  }

  /** In the command the error log can point at the very field; what is wrong in a segment is wrong with what SGL1 names. */
  #wrong(status: StatusCode, byte: number): Failure {
    return mistake(status, this.#inCommand ? Field.sgl1 + byte : Field.sgl1);
  }
}

/** True when it ends behind the last address that there can be. */
function isBeyond(words: Int32Array, at: number, lengthBytes: number): boolean {
  return words[at + 1] === -1 && (words[at]! >>> 0) + lengthBytes > 0x1_0000_0000;
}

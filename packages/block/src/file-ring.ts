import type { Log, Segments } from '@sidecard/core';
import { Fallocate, type Native, RequestOp, type Ring } from '@sidecard/native';
import type { FileSlots } from './file-slots.ts';

/** Most of one call: Linux transfers no more than 2 GiB less a page. */
const MAX_CALL_BYTES = 2 ** 30;
const ZEROES_BYTES = 64 * 1024;

const told = new WeakSet<Log>();

/** Says once, for all drives, that io_uring is missing or forbidden: the drive works, and costs more. */
export function tellOfThreads(log: Log): void {
  if (told.has(log)) return;
  told.add(log);
  log.info({}, 'no io_uring here (missing or forbidden): a pool of threads does the I/O of drives');
}

/** The ring of a file: puts steps of requests in its table, and hands them to the kernel in batches. */
export class FileRing {
  readonly ring: Ring;
  readonly #fd: number;
  readonly #slots: FileSlots;
  #queued = 0;
  readonly #zeroes: ArrayBuffer;
  readonly #zeroesHandle: number;
  readonly #native: Native;
  #armed = false;

  constructor(native: Native, fd: number, slots: FileSlots, maxSegments: number, forceThreads: boolean) {
    this.#native = native;
    this.#fd = fd;
    this.#slots = slots;
    this.ring = native.openRing(slots.request.length, { maxSegments, forceThreads });
    // In a memfd, since O_DIRECT wants pages.
    const memory = native.memfd('sidecard zeroes', ZEROES_BYTES);
    const zeroes = native.map(memory, 0, ZEROES_BYTES, true);
    native.close(memory);
    if (typeof zeroes === 'number') throw new Error('no memory for a block of zeroes');
    this.#zeroes = zeroes;
    this.#zeroesHandle = native.mapping(zeroes);
  }

  /** Reads or writes the guest's memory from where the slot is: as much as one call takes. */
  transfer(slot: number, segments: Segments, op: number, position: number, flags: number): void {
    const ring = this.ring;
    let count = 0;
    let bytes = 0;
    let skip = this.#slots.segmentOffset[slot]!;
    for (
      let i = this.#slots.segment[slot]!;
      i < segments.count && count < ring.maxSegments && bytes < MAX_CALL_BYTES;
      i++
    ) {
      const length = Math.min(segments.length[i]! - skip, MAX_CALL_BYTES - bytes);
      ring.setSegment(slot, count++, segments.handle[i]!, segments.offset[i]! + skip, length);
      bytes += length;
      skip = 0;
    }
    ring.segments[slot] = count;
    this.#push(slot, op, position, flags);
  }

  /** One piece of a mapping that is ours. */
  piece(
    slot: number,
    op: number,
    position: number,
    handle: number,
    offset: number,
    lengthBytes: number,
    flags: number,
  ): void {
    this.ring.setSegment(slot, 0, handle, offset, lengthBytes);
    this.ring.segments[slot] = 1;
    this.#push(slot, op, position, flags);
  }

  writeZeroes(slot: number, position: number, lengthBytes: number): void {
    const ring = this.ring;
    let count = 0;
    for (let left = lengthBytes; left > 0 && count < ring.maxSegments; count++) {
      const length = Math.min(left, ZEROES_BYTES);
      ring.setSegment(slot, count, this.#zeroesHandle, 0, length);
      left -= length;
    }
    ring.segments[slot] = count;
    this.#push(slot, RequestOp.write, position, 0);
  }

  flush(slot: number): void {
    this.#push(slot, RequestOp.flush, 0, 0);
  }

  punchHole(slot: number, position: number, lengthBytes: number): void {
    this.range(slot, RequestOp.fallocate, position, lengthBytes, Fallocate.punchHole | Fallocate.keepSize);
  }

  zeroRange(slot: number, position: number, lengthBytes: number): void {
    this.range(slot, RequestOp.fallocate, position, lengthBytes, Fallocate.zeroRange | Fallocate.keepSize);
  }

  range(slot: number, op: number, position: number, lengthBytes: number, flags: number): void {
    this.ring.length[slot] = lengthBytes;
    this.#push(slot, op, position, flags);
  }

  /** One system call for everything since the last. */
  submit(): void {
    if (this.#queued === 0) return;
    const count = this.#queued;
    this.#queued = 0;
    const result = this.ring.submit(count);
    if (result < 0) throw new Error(`ring of a drive refused ${count} requests: ${result}`);
  }

  arm(): boolean {
    this.#armed = true;
    return this.ring.arm();
  }

  disarm(): void {
    if (!this.#armed) return;
    this.#armed = false;
    this.ring.disarm();
    this.#native.drain(this.ring.eventFd);
  }

  close(): void {
    this.ring.close();
    this.#native.unmap(this.#zeroes);
  }

  #push(slot: number, op: number, position: number, flags: number): void {
    const ring = this.ring;
    ring.op[slot] = op;
    ring.fd[slot] = this.#fd;
    ring.position[slot] = position;
    ring.flags[slot] = flags;
    ring.queue[this.#queued++] = slot;
  }
}

import { RequestOp } from '@sidecard/native';
import type { BlockRequest } from './backend.ts';
import type { BounceBuffers } from './bounce-buffers.ts';
import type { FileRing } from './file-ring.ts';
import type { FileSlots } from './file-slots.ts';
import { gather, scatter } from './segment-bytes.ts';

/** How a step of a bounced access ended: the next is under way, the request is done, or the call failed. */
export type BounceStep = 'continues' | 'done' | 'failed';

/**
 * Accesses that O_DIRECT does not take as they are, through aligned buffers, part by part. A write of less than whole
 * blocks reads the block first; the caller has locked its range.
 */
export class BouncedAccess {
  readonly #buffers: BounceBuffers;
  readonly #ring: FileRing;
  readonly #slots: FileSlots;
  readonly #alignBytes: number;

  constructor(buffers: BounceBuffers, ring: FileRing, slots: FileSlots, alignBytes: number) {
    this.#buffers = buffers;
    this.#ring = ring;
    this.#slots = slots;
    this.#alignBytes = alignBytes;
  }

  /** Starts the next part. The slot has a buffer. */
  begin(slot: number): void {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    const align = this.#alignBytes;
    const position = request.offset + slots.progress[slot]!;
    const start = Math.floor(position / align) * align;
    const end = Math.min(
      Math.ceil((request.offset + request.lengthBytes) / align) * align,
      start + this.#buffers.sizeBytes,
    );
    slots.bounceStart[slot] = start;
    slots.bounceBytes[slot] = end - start;
    slots.bounceDone[slot] = 0;
    if (request.operation === 'read') slots.phase[slot] = 'bounceRead';
    else if (start < position || end > request.offset + request.lengthBytes) slots.phase[slot] = 'fill';
    else this.#copyIn(slot, request);
    this.#issue(slot);
  }

  /** A call has transferred `result` bytes. */
  completed(slot: number, result: number): BounceStep {
    const slots = this.#slots;
    const reading = slots.phase[slot] !== 'bounceWrite';
    if (result === 0 && !reading) return 'failed';
    const whole = result - (result % this.#alignBytes);
    let done = slots.bounceDone[slot]! + whole;
    if (reading && (result === 0 || whole < result)) {
      // The end of the file: zeroes from here on.
      const at = slots.bounce[slot]!;
      this.#buffers.bytes.fill(0, at + slots.bounceDone[slot]! + result, at + slots.bounceBytes[slot]!);
      done = slots.bounceBytes[slot]!;
    }
    slots.bounceDone[slot] = done;
    if (done < slots.bounceBytes[slot]!) {
      this.#issue(slot);
      return 'continues';
    }
    return this.#ended(slot);
  }

  #ended(slot: number): BounceStep {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    if (slots.phase[slot] === 'fill') {
      this.#copyIn(slot, request);
      this.#issue(slot);
      return 'continues';
    }
    const count = this.#partBytes(slot, request);
    if (request.operation === 'read') {
      scatter(request.segments!, slots.progress[slot]!, this.#buffers.bytes, this.#bufferAt(slot, request), count);
    }
    slots.advance(slot, count);
    if (slots.progress[slot] === request.lengthBytes) return 'done';
    this.begin(slot);
    return 'continues';
  }

  #copyIn(slot: number, request: BlockRequest): void {
    const at = this.#bufferAt(slot, request);
    const count = this.#partBytes(slot, request);
    if (request.operation === 'writeZeroes') this.#buffers.bytes.fill(0, at, at + count);
    else gather(request.segments!, this.#slots.progress[slot]!, this.#buffers.bytes, at, count);
    this.#slots.phase[slot] = 'bounceWrite';
    this.#slots.bounceDone[slot] = 0;
  }

  /** Where the request's next byte is in the buffers. */
  #bufferAt(slot: number, request: BlockRequest): number {
    const position = request.offset + this.#slots.progress[slot]!;
    return this.#slots.bounce[slot]! + (position - this.#slots.bounceStart[slot]!);
  }

  /** How much of the request is in this part. */
  #partBytes(slot: number, request: BlockRequest): number {
    const end = Math.min(
      request.offset + request.lengthBytes,
      this.#slots.bounceStart[slot]! + this.#slots.bounceBytes[slot]!,
    );
    return end - request.offset - this.#slots.progress[slot]!;
  }

  #issue(slot: number): void {
    const slots = this.#slots;
    const op = slots.phase[slot] === 'bounceWrite' ? RequestOp.write : RequestOp.read;
    const done = slots.bounceDone[slot]!;
    const left = slots.bounceBytes[slot]! - done;
    this.#ring.piece(
      slot,
      op,
      slots.bounceStart[slot]! + done,
      this.#buffers.handle,
      slots.bounce[slot]! + done,
      left,
      0,
    );
  }
}

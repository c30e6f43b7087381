import { type Native, RequestOp } from '@sidecard/native';
import type { Alignment } from './alignment.ts';
import type { BlockRequest } from './backend.ts';
import { BounceBuffers } from './bounce-buffers.ts';
import type { FileRing } from './file-ring.ts';
import type { FileSlots } from './file-slots.ts';
import { gather, scatter } from './segment-bytes.ts';

const BUFFERS = 16;
const BUFFER_BYTES = 128 * 1024;

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
  readonly #alignment: Alignment;
  /** Slots that wait for a buffer. */
  readonly #waiting: number[] = [];

  constructor(native: Native, ring: FileRing, slots: FileSlots, alignment: Alignment) {
    this.#buffers = new BounceBuffers(native, BUFFERS, BUFFER_BYTES);
    this.#ring = ring;
    this.#slots = slots;
    this.#alignment = alignment;
  }

  close(): void {
    this.#buffers.close();
  }

  /** Starts what is left of the slot's request, as soon as there is a buffer for it. */
  begin(slot: number): void {
    if (this.#slots.bounce[slot]! < 0) this.#slots.bounce[slot] = this.#buffers.take();
    if (this.#slots.bounce[slot]! < 0) this.#waiting.push(slot);
    else this.#nextPart(slot);
  }

  /** The slot's request has ended. */
  release(slot: number): void {
    if (this.#slots.bounce[slot]! < 0) return;
    this.#buffers.give(this.#slots.bounce[slot]!);
    this.#slots.bounce[slot] = -1;
    if (this.#waiting.length > 0) this.begin(this.#waiting.shift()!);
  }

  #nextPart(slot: number): void {
    const slots = this.#slots;
    const request = slots.request[slot]!;
    const position = request.offset + slots.progress[slot]!;
    const start = this.#alignment.floor(position);
    const wholeEnd = this.#alignment.ceil(request.offset + request.lengthBytes);
    const end = Math.min(wholeEnd, start + this.#buffers.sizeBytes);
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
    const whole = result - (result % this.#alignment.blockBytes);
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
    this.#nextPart(slot);
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

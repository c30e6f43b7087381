import { HostBuffer } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { BounceBuffers } from './bounce-buffers.ts';
import { copySegments } from './segment-copy.ts';
import { PART_BUFFERS, type TimedRequest } from './timed-request.ts';

const BUFFERS = 256;
const BUFFER_BYTES = 64 * 1024;
const PART_BYTES = PART_BUFFERS * BUFFER_BYTES;

/** The memory of ours that requests with a deadline have their data in, while they are at the drive. */
export class TimedData {
  readonly #native: Native;
  readonly #buffers: BounceBuffers;
  readonly #area: HostBuffer;

  constructor(native: Native) {
    this.#native = native;
    this.#buffers = new BounceBuffers(native, BUFFERS, BUFFER_BYTES);
    this.#area = new HostBuffer(this.#buffers.memory);
  }

  close(): void {
    this.#buffers.close();
  }

  /** Buffers for the next part of a request, unless it has them. False when there are not enough. */
  take(request: TimedRequest): boolean {
    const { segments, lengthBytes } = request.outer!;
    if (segments === null || request.bufferCount > 0) return true;
    const wanted = Math.ceil(Math.min(lengthBytes - request.progress, PART_BYTES) / BUFFER_BYTES);
    if (this.#buffers.free < wanted) return false;
    while (request.bufferCount < wanted) request.buffers[request.bufferCount++] = this.#buffers.take();
    return true;
  }

  give(request: TimedRequest): void {
    while (request.bufferCount > 0) this.#buffers.give(request.buffers[--request.bufferCount]!);
    request.pieces.clear();
  }

  /** Makes the next part what the drive is asked for, with what is to be written. 0 or an errno. */
  load(request: TimedRequest): number {
    const outer = request.outer!;
    const left = outer.lengthBytes - request.progress;
    request.offset = outer.offset + request.progress;
    request.segments = null;
    request.lengthBytes = left;
    if (outer.segments === null) return 0;
    request.lengthBytes = Math.min(left, PART_BYTES);
    request.segments = request.pieces;
    this.#lay(request);
    if (request.operation === 'read') return 0;
    return copySegments(this.#native, outer.segments, request.progress, request.pieces, 0, request.lengthBytes);
  }

  /** A part has been read: copies it to whom it is for. 0 or an errno. */
  store(request: TimedRequest): number {
    const { segments } = request.outer!;
    if (request.operation !== 'read' || segments === null) return 0;
    return copySegments(this.#native, request.pieces, 0, segments, request.progress, request.lengthBytes);
  }

  #lay(request: TimedRequest): void {
    const { pieces, buffers, lengthBytes } = request;
    pieces.clear();
    for (let index = 0, left = lengthBytes; left > 0; index++, left -= BUFFER_BYTES) {
      pieces.add(this.#area, this.#buffers.handle, buffers[index]!, Math.min(left, BUFFER_BYTES));
    }
  }
}

import { Segments } from '@sidecard/core';
import { BlockRequest, RangeHold } from './backend.ts';
import type { Dated } from './deadlines.ts';

/** Buffers of a request at the drive, at most: what is longer goes part by part. */
export const PART_BUFFERS = 16;

/** Whom a request tells what has become of it. */
export interface RequestKeeper {
  /** The drive has ended the part that it had. */
  ended(request: TimedRequest): void;
  /** It waited for its range, and has it. */
  granted(request: TimedRequest): void;
  late(request: TimedRequest): void;
}

/** A request as the drive gets it: with data in memory of ours, so that it can go on without whoever made it, once they have stopped waiting. */
export class TimedRequest extends BlockRequest implements Dated {
  dueMs = 0;
  older: Dated | null = null;
  newer: Dated | null = null;
  /** Who waits for it; null: nobody does any more. */
  outer: BlockRequest | null = null;
  where: 'nowhere' | 'atRange' | 'inQueue' | 'atDrive' = 'nowhere';
  /** Bytes of the outer one that are done. */
  progress = 0;
  /** The buffers of the part that is at the drive, and their offsets. */
  readonly pieces = new Segments(PART_BUFFERS);
  readonly buffers = new Int32Array(PART_BUFFERS);
  bufferCount = 0;
  /** What it changes, shared with others that change the drive. */
  readonly range: RangeHold;
  readonly #keeper: RequestKeeper;

  constructor(keeper: RequestKeeper) {
    super();
    this.#keeper = keeper;
    this.range = new RequestRange(this, keeper);
  }

  begin(outer: BlockRequest): void {
    this.outer = outer;
    this.operation = outer.operation;
    this.fua = outer.fua;
    this.mayDeallocate = outer.mayDeallocate;
    this.error = 0;
    this.progress = 0;
  }

  done(): void {
    this.#keeper.ended(this);
  }

  expired(): void {
    this.#keeper.late(this);
  }
}

class RequestRange extends RangeHold {
  readonly #request: TimedRequest;
  readonly #keeper: RequestKeeper;

  constructor(request: TimedRequest, keeper: RequestKeeper) {
    super();
    this.#request = request;
    this.#keeper = keeper;
  }

  held(): void {
    this.#keeper.granted(this.#request);
  }
}

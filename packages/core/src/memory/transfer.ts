import type { HostBuffer } from '../bits/host-buffer.ts';
import type { DmaTask } from './guest-memory.ts';

/**
 * An access to guest memory that may take messages: pieces of guest memory and where their bytes are here. Pooled. It
 * keeps its place, so that it goes on when a message slot is free.
 */
export class Transfer {
  readonly capacity: number;
  /** Of loads and stores; those of scatter lists stay with their lists. */
  readonly pooled: boolean;
  count = 0;
  readonly iova: Float64Array;
  readonly lengthBytes: Float64Array;
  readonly area: (HostBuffer | null)[];
  readonly areaOffset: Float64Array;
  task: DmaTask | null = null;
  /** Towards the guest. */
  toGuest = false;
  /** The last word is written after all others. */
  publishes = false;
  state: 'idle' | 'running' | 'ended' = 'idle';
  failed = false;
  /** The piece that is next, and how much of it has been asked for. */
  piece = 0;
  progress = 0;
  /** Messages without an answer. */
  outstanding = 0;

  constructor(capacity: number, pooled = false) {
    this.capacity = capacity;
    this.pooled = pooled;
    this.iova = new Float64Array(capacity);
    this.lengthBytes = new Float64Array(capacity);
    this.area = new Array<HostBuffer | null>(capacity).fill(null);
    this.areaOffset = new Float64Array(capacity);
  }

  clear(): void {
    this.area.fill(null, 0, this.count);
    this.count = 0;
  }

  /** Adds a piece, joined to the last one where both sides touch: fewer messages. False when there is no room. */
  add(iova: number, area: HostBuffer, areaOffset: number, lengthBytes: number): boolean {
    const last = this.count - 1;
    if (
      last >= 0 &&
      this.area[last] === area &&
      this.iova[last]! + this.lengthBytes[last]! === iova &&
      this.areaOffset[last]! + this.lengthBytes[last]! === areaOffset
    ) {
      this.lengthBytes[last] = this.lengthBytes[last]! + lengthBytes;
      return true;
    }
    if (this.count === this.capacity) return false;
    this.iova[this.count] = iova;
    this.lengthBytes[this.count] = lengthBytes;
    this.area[this.count] = area;
    this.areaOffset[this.count] = areaOffset;
    this.count++;
    return true;
  }

  begin(task: DmaTask, toGuest: boolean, publishes: boolean): void {
    this.task = task;
    this.toGuest = toGuest;
    this.publishes = publishes;
    this.state = 'running';
    this.failed = false;
    this.piece = 0;
    this.progress = 0;
    this.outstanding = 0;
  }

  get allAsked(): boolean {
    return this.failed || this.piece === this.count;
  }

  advance(lengthBytes: number): void {
    this.progress += lengthBytes;
    if (this.progress < this.lengthBytes[this.piece]!) return;
    this.piece++;
    this.progress = 0;
  }
}

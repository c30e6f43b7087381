import type { BlockRequest } from './backend.ts';

/** What a file wants of its accesses: with O_DIRECT whole blocks from aligned memory, without it nothing (1). */
export class Alignment {
  readonly blockBytes: number;
  readonly memoryBytes: number;

  constructor(blockBytes: number, memoryBytes: number) {
    this.blockBytes = blockBytes;
    this.memoryBytes = memoryBytes;
  }

  get none(): boolean {
    return this.blockBytes === 1 && this.memoryBytes === 1;
  }

  /** Whether the call can be made with the guest's own memory. */
  takes(request: BlockRequest): boolean {
    if (this.none) return true;
    if (!this.wholeBlocks(request)) return false;
    const segments = request.segments!;
    for (let i = 0; i < segments.count; i++) {
      if (segments.offset[i]! % this.memoryBytes !== 0 || segments.length[i]! % this.blockBytes !== 0) return false;
    }
    return true;
  }

  wholeBlocks(request: BlockRequest): boolean {
    return request.offset % this.blockBytes === 0 && request.lengthBytes % this.blockBytes === 0;
  }

  floor(position: number): number {
    return position - (position % this.blockBytes);
  }

  ceil(position: number): number {
    return Math.ceil(position / this.blockBytes) * this.blockBytes;
  }
}

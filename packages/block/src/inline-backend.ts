import type { BlockBackend, BlockGeometry, BlockRequest, RangeHold } from './backend.ts';
import type { DriveOptions } from './drive.ts';
import type { DurableFile } from './durable-file.ts';
import { EINVAL, EROFS } from './errno.ts';

/** A drive that is done with each request when it has been submitted: memory and null. */
export abstract class InlineBackend implements BlockBackend {
  readonly geometry: BlockGeometry;
  readonly identitySeed: Uint8Array;
  readonly description: string;
  readonly inFlight = 0;

  constructor(options: DriveOptions, identitySeed: Uint8Array, description: string) {
    this.identitySeed = identitySeed;
    this.description = description;
    this.geometry = {
      sizeBytes: options.sizeBytes!,
      alignmentBytes: 1,
      discardGranularityBytes: 4096,
      readOnly: options.readOnly,
      volatileCache: false,
      discardReadsZeroes: options.discard === 'unmap',
    };
  }

  submit(request: BlockRequest): boolean {
    const { operation, offset, lengthBytes } = request;
    if (operation === 'flush') request.error = 0;
    else if (operation !== 'read' && this.geometry.readOnly) request.error = EROFS;
    else if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.geometry.sizeBytes))
      request.error = EINVAL;
    else request.error = this.run(request);
    return true;
  }

  commit(): void {}

  /** Requests end inside submit, so whoever waits only for them is alone already. */
  hold(_hold: RangeHold): boolean {
    return true;
  }

  letGo(_hold: RangeHold): void {}

  remeasure(): boolean {
    return false;
  }

  beside(_suffix: string): DurableFile | null {
    return null;
  }

  poll(): boolean {
    return false;
  }

  async close(): Promise<void> {}

  /** Does a request that is inside the drive; 0 or an errno. */
  protected abstract run(request: BlockRequest): number;
}

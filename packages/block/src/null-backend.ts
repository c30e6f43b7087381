import type { BlockRequest } from './backend.ts';
import type { DriveOptions } from './drive.ts';
import { InlineBackend } from './inline-backend.ts';

/** Reads zeroes and drops writes: what is left is the cost of everything else. */
export class NullBackend extends InlineBackend {
  constructor(options: DriveOptions, identitySeed: Uint8Array) {
    super(options, identitySeed, 'null');
  }

  protected run(request: BlockRequest): number {
    if (request.operation !== 'read') return 0;
    const segments = request.segments!;
    for (let i = 0; i < segments.count; i++) {
      const at = segments.offset[i]!;
      segments.area[i]!.bytes.fill(0, at, at + segments.length[i]!);
    }
    return 0;
  }
}

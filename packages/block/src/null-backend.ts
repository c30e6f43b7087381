import type { BlockRequest } from './backend.ts';
import { InlineBackend } from './inline-backend.ts';

/** Reads zeroes and drops writes: what is left is the cost of everything else. */
export class NullBackend extends InlineBackend {
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

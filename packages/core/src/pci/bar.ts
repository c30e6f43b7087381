import type { Accessible } from '../bits/accessible.ts';
import type { HostBuffer } from '../bits/host-buffer.ts';

export type { Accessible };

/** Memory that the client may map: a sparse mmap area of the region. */
export interface MappableMemory {
  readonly fd: number;
  /** Offset in the fd, bytes, of a page. */
  readonly fdOffset: number;
  readonly memory: HostBuffer;
}

/** A part of a BAR. What no window covers reads zero and drops writes. */
export interface BarWindow {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly registers?: Accessible;
  /** Offered for mapping, and accessed there also by messages. A page-aligned multiple of pages. */
  readonly memory?: MappableMemory;
}

/** A base address register (PCI Local Bus 3.0, 6.2.5.1). */
export interface Bar {
  readonly kind: 'memory32' | 'memory64' | 'io';
  /** A power of two; memory at least 16, I/O 4 to 256. */
  readonly sizeBytes: number;
  readonly prefetchable?: boolean;
  readonly windows: readonly BarWindow[];
}

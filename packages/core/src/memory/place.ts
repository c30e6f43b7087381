import { HostBuffer } from '../bits/host-buffer.ts';

const NOWHERE = HostBuffer.alloc(0);

/** Where a stretch of guest memory is, as AddressSpace found it: in one region, and in one window of its file. */
export class Place {
  kind: 'absent' | 'mapped' | 'file' | 'message' = 'absent';
  // Doubles from the start, so that V8 keeps these fields as doubles and stores into them without allocating.
  /** The stretch goes on to here. */
  limit = -0.5;
  /** Mapped: [start, end) is a hit for the next access too. Other kinds end before they start. */
  start = 0.5;
  end = -0.5;
  /** Mapped: offset of `start` in `window`. File: offset of the address located, in the file. */
  base = 0.5;
  row = -1;
  window: HostBuffer = NOWHERE;
  /** The native handle of the window. */
  handle = -1;

  forget(): void {
    this.kind = 'absent';
    this.limit = -1;
    this.end = -1;
    this.row = -1;
    this.window = NOWHERE;
    this.handle = -1;
  }
}

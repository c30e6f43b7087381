import type { RecordOf } from '../bits/struct.ts';
import { struct } from '../bits/struct.ts';
import { le8 } from '../bits/struct-field.ts';

/** What of the interrupts is neither in config space nor in the MSI-X table and PBA. */
export const InterruptState = struct(8, {
  /** INTx has been signalled or masked, and not been unmasked since. */
  intxMasked: le8(0),
  /** The client has written the MSI-X table, so that its mask bits are meant (QEMU never forwards such writes). */
  tableWritten: le8(1),
});
export type InterruptState = RecordOf<typeof InterruptState>;

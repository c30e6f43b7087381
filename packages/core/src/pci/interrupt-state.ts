import type { RecordOf } from '../bits/struct.ts';
import { struct } from '../bits/struct.ts';
import { le8 } from '../bits/struct-field.ts';

/** What of the interrupts is neither in config space nor in the MSI-X table and PBA. */
export const InterruptState = struct(8, {
  /** INTx has been signalled, and not been unmasked since: it masks itself (AUTOMASKED). */
  intxSignalled: le8(0),
  /** The client has written the MSI-X table, so that its mask bits are meant (QEMU never forwards such writes). */
  tableWritten: le8(1),
  /** The client has masked INTx. Kept while its eventfd is replaced, as VFIO does. */
  intxMasked: le8(2),
  /** The driver has switched MSI or MSI-X on in config space, so that it is off when it says so. */
  enableBitsUsed: le8(3),
  /** The device cannot go on, and nobody has been told: the client has not asked for ERR yet. */
  failed: le8(4),
});
export type InterruptState = RecordOf<typeof InterruptState>;

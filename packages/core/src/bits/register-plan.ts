import type { RegisterLayout } from './register-layout.ts';

/** A layout as the flat arrays that guest accesses run over. Registers are numbered from 1; 0 owns what is reserved. */
export class RegisterPlan {
  readonly sizeBytes: number;
  readonly owner: Uint16Array;
  readonly resetBytes: Uint8Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly width: Uint8Array;
  /** Array index, for hooks. */
  readonly index: Int32Array;
  /** Per register: 1 where some bits are rc; where some are wo. */
  readonly clearsOnRead: Uint8Array;
  readonly eventBits: Uint8Array;
  /** Per byte. */
  readonly visible: Uint8Array;
  readonly stored: Uint8Array;
  readonly clearedByOnes: Uint8Array;
  readonly setByOnes: Uint8Array;
  readonly clearedByReading: Uint8Array;
  readonly events: Uint8Array;

  constructor(layout: RegisterLayout) {
    const { masks, registers } = layout;
    this.sizeBytes = layout.sizeBytes;
    this.owner = layout.owner;
    this.resetBytes = layout.resetBytes;
    this.visible = masks.ro.map((bits, at) => bits | masks.rw[at]! | masks.w1c[at]! | masks.w1s[at]! | masks.rc[at]!);
    this.stored = masks.rw.map((bits, at) => bits | masks.wo[at]!);
    this.clearedByOnes = masks.w1c;
    this.setByOnes = masks.w1s;
    this.clearedByReading = masks.rc;
    this.events = masks.wo;
    const count = registers.length + 1;
    this.start = new Int32Array(count);
    this.end = new Int32Array(count);
    this.width = new Uint8Array(count);
    this.index = new Int32Array(count);
    this.clearsOnRead = new Uint8Array(count);
    this.eventBits = new Uint8Array(count);
    for (const [i, { offset, widthBytes, index }] of registers.entries()) {
      const id = i + 1;
      const end = offset + widthBytes;
      this.start[id] = offset;
      this.end[id] = end;
      this.width[id] = widthBytes;
      this.index[id] = index;
      this.clearsOnRead[id] = masks.rc.subarray(offset, end).some((bits) => bits !== 0) ? 1 : 0;
      this.eventBits[id] = masks.wo.subarray(offset, end).some((bits) => bits !== 0) ? 1 : 0;
    }
  }
}

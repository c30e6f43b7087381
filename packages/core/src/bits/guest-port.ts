import type { Accessible } from './accessible.ts';
import type { HostBuffer } from './host-buffer.ts';
import { Bank } from './number-property.ts';
import type { RegisterPlan } from './register-plan.ts';

/** The hooks of each register that has any, by its number in the plan. */
export interface HookTable {
  readonly read: readonly (((index: number) => void) | null)[];
  readonly cleared: readonly (((was: number, index: number) => void) | null)[];
  readonly write: readonly (((now: number, was: number, index: number) => void) | null)[];
}

/** The guest's side of a register file: an access of any size and alignment is one loop over its bytes. */
export class GuestPort extends Bank implements Accessible {
  readonly sizeBytes: number;
  readonly bytes: HostBuffer;
  /** @internal */ readonly $plan: RegisterPlan;
  /** @internal */ readonly $hooks: HookTable;

  constructor(bytes: HostBuffer, plan: RegisterPlan, hooks: HookTable) {
    super(bytes, 0);
    this.bytes = bytes;
    this.sizeBytes = plan.sizeBytes;
    this.$plan = plan;
    this.$hooks = hooks;
  }

  read(offset: number, target: Uint8Array, targetOffset: number, lengthBytes: number): void {
    const plan = this.$plan;
    const bytes = this.bytes.bytes;
    const end = offset + lengthBytes;
    const delta = targetOffset - offset;
    let at = offset;
    while (at < end) {
      const id = plan.owner[at]!;
      if (id === 0) {
        target[at + delta] = 0;
        at++;
        continue;
      }
      const hook = this.$hooks.read[id];
      if (hook) hook(plan.index[id]!);
      const start = at;
      const stop = Math.min(plan.end[id]!, end);
      for (; at < stop; at++) target[at + delta] = bytes[at]! & plan.visible[at]!;
      if (plan.clearsOnRead[id] === 1) this.#clear(id, start, stop);
    }
  }

  write(offset: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): void {
    const plan = this.$plan;
    const bytes = this.bytes.bytes;
    const end = offset + lengthBytes;
    const delta = sourceOffset - offset;
    let at = offset;
    while (at < end) {
      const id = plan.owner[at]!;
      if (id === 0) {
        at++;
        continue;
      }
      const hook = this.$hooks.write[id];
      const was = hook ? this.#value(id) : 0;
      if (this.$journal?.open) this.$journal.touch(this.$byteOffset + plan.start[id]!, plan.width[id]!);
      if (plan.eventBits[id] === 1) this.#dropEvents(id);
      const stop = Math.min(plan.end[id]!, end);
      for (; at < stop; at++) {
        const written = source[at + delta]!;
        const stored = plan.stored[at]!;
        const value = (bytes[at]! & ~stored) | (written & stored);
        bytes[at] = (value & ~(written & plan.clearedByOnes[at]!)) | (written & plan.setByOnes[at]!);
      }
      if (hook) hook(this.#value(id), was, plan.index[id]!);
    }
  }

  /** Gives every register its reset value; calls no hooks. */
  reset(): void {
    if (this.$journal?.open) this.$journal.touch(this.$byteOffset, this.sizeBytes);
    this.bytes.bytes.set(this.$plan.resetBytes);
  }

  #value(id: number): number {
    const view = this.$view;
    const offset = this.$plan.start[id]!;
    switch (this.$plan.width[id]!) {
      case 1:
        return view.getUint8(offset);
      case 2:
        return view.getUint16(offset, true);
      case 4:
        return view.getUint32(offset, true);
      default:
        return view.getUint32(offset + 4, true) * 4294967296 + view.getUint32(offset, true);
    }
  }

  #clear(id: number, start: number, stop: number): void {
    const plan = this.$plan;
    const bytes = this.bytes.bytes;
    let any = 0;
    for (let at = start; at < stop; at++) any |= bytes[at]! & plan.clearedByReading[at]!;
    if (any === 0) return;
    const was = this.#value(id);
    if (this.$journal?.open) this.$journal.touch(this.$byteOffset + start, stop - start);
    for (let at = start; at < stop; at++) bytes[at] = bytes[at]! & ~plan.clearedByReading[at]!;
    const hook = this.$hooks.cleared[id];
    if (hook) hook(was, plan.index[id]!);
  }

  /** A write of `wo` bits is an event, not a state: what the access does not cover is not written. */
  #dropEvents(id: number): void {
    const plan = this.$plan;
    const bytes = this.bytes.bytes;
    for (let at = plan.start[id]!; at < plan.end[id]!; at++) bytes[at] = bytes[at]! & ~plan.events[at]!;
  }
}

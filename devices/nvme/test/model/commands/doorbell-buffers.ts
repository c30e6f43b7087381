import { AdminOpcode, type NvmeCompletion, ShadowDoorbells } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { Opened } from '../guest-pages.ts';
import { PAGE } from '../guest-pages.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';

/** Doorbell Buffer Config (NVMe Base 2.0, 5.8): queues made from its completion on have their doorbells in memory, until the next reset. */
class DoorbellBufferConfig extends Pending {
  readonly sqe;
  readonly #shadow: number;
  readonly #eventIdx: number;
  readonly #opened: Opened;

  constructor(model: Model, shadow: number, eventIdx: number) {
    super(model);
    this.#shadow = shadow;
    this.#eventIdx = eventIdx;
    this.sqe = { opcode: AdminOpcode.doorbellBufferConfig, prp1: shadow, prp2: eventIdx };
    for (const page of [shadow, eventIdx]) model.memory.store(page, new Uint8Array(PAGE));
    this.#opened = model.memory.open(eventIdx, PAGE);
    model.doorbellPages.push(this.#opened, shadow, eventIdx);
  }

  override ended(completion: NvmeCompletion): void {
    const { model } = this;
    // It is there while looking at memory costs no messages.
    this.expect(completion, model.mapped ? Status.success : Status.invalidOpcode);
    if (completion.status !== Status.success) return;
    model.doorbells = new ShadowDoorbells(model.memory, this.#shadow, this.#eventIdx, model.trapped!, 0);
  }
}

/** Once between two resets, as drivers do. */
export function planDoorbellBuffers(model: Model): Pending | null {
  if (model.doorbellPages.length > 0 || model.memory.free < 20) return null;
  return new DoorbellBufferConfig(model, model.memory.take()!, model.memory.take()!);
}

export const doorbellBufferConfig: fc.Arbitrary<Plan> = fc.constant({
  plan: planDoorbellBuffers,
  toString: () => 'doorbellBufferConfig',
});

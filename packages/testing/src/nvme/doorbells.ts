import type { Accessible, HostBuffer } from '@sidecard/core';
import type { Ram } from '../guest-ram.ts';
import { DOORBELLS_OFFSET } from './registers.ts';

/** How a driver tells the controller of new entries. */
export interface Doorbells {
  /** New value of the tail of submission queue `queue`; `before` is the one it had. */
  tail(queue: number, value: number, before: number): void;
  head(queue: number, value: number, before: number): void;
}

/** Register writes, each trapped (NVMe over PCIe Transport 1.0, 3.1.2). */
export class TrappedDoorbells implements Doorbells {
  readonly #bar: Accessible;
  readonly #strideBytes: number;
  readonly #bytes = new Uint8Array(4);
  readonly #view = new DataView(this.#bytes.buffer);
  /** Accesses that were made. */
  count = 0;

  /** `dstrd` is CAP.DSTRD. */
  constructor(bar: Accessible, dstrd: number) {
    this.#bar = bar;
    this.#strideBytes = 4 << dstrd;
  }

  tail(queue: number, value: number): void {
    this.#ring(2 * queue, value);
  }

  head(queue: number, value: number): void {
    this.#ring(2 * queue + 1, value);
  }

  #ring(index: number, value: number): void {
    this.count++;
    this.#view.setUint32(0, value, true);
    this.#bar.write(DOORBELLS_OFFSET + index * this.#strideBytes, this.#bytes, 0, 4);
  }
}

/** Stores to the doorbells' page, mapped here. `page` begins at 1000h of BAR0. */
export class MappedDoorbells implements Doorbells {
  readonly #page: HostBuffer;
  readonly #strideWords: number;

  constructor(page: HostBuffer, dstrd: number) {
    this.#page = page;
    this.#strideWords = 1 << dstrd;
  }

  tail(queue: number, value: number): void {
    Atomics.store(this.#page.words, 2 * queue * this.#strideWords, value);
  }

  head(queue: number, value: number): void {
    Atomics.store(this.#page.words, (2 * queue + 1) * this.#strideWords, value);
  }
}

/**
 * Stores to a shadow buffer in guest memory, and a trapped write when the controller asks for it by its EventIdx (NVMe Base 2.0,
 * 5.8 and annex B.5). The admin queue has no shadow with any driver known.
 */
export class ShadowDoorbells implements Doorbells {
  readonly #ram: Pick<Ram, 'word' | 'setWord'>;
  readonly #shadow: number;
  readonly #eventIdx: number;
  readonly #strideBytes: number;
  readonly trapped: TrappedDoorbells;

  constructor(
    ram: Pick<Ram, 'word' | 'setWord'>,
    shadowIova: number,
    eventIdxIova: number,
    trapped: TrappedDoorbells,
    dstrd: number,
  ) {
    this.#ram = ram;
    this.#shadow = shadowIova;
    this.#eventIdx = eventIdxIova;
    this.#strideBytes = 4 << dstrd;
    this.trapped = trapped;
  }

  tail(queue: number, value: number, before: number): void {
    if (queue === 0 || this.#wanted(2 * queue, value, before)) this.trapped.tail(queue, value);
  }

  head(queue: number, value: number, before: number): void {
    if (queue === 0 || this.#wanted(2 * queue + 1, value, before)) this.trapped.head(queue, value);
  }

  /** True when EventIdx is among the values that were passed, from `before` on. */
  #wanted(index: number, value: number, before: number): boolean {
    const at = index * this.#strideBytes;
    this.#ram.setWord(this.#shadow + at, value);
    const eventIdx = this.#ram.word(this.#eventIdx + at);
    return ((value - eventIdx - 1) & 0xffff) < ((value - before) & 0xffff);
  }
}

import type { Ram } from '../guest-ram.ts';
import type { DataBuffer } from './data-buffer.ts';

const PAGE_BYTES = 4096;

/** Where data begins inside its first page, and how it is described. */
export interface PrpOptions {
  /** 0 unless given; a multiple of 4. */
  readonly pageOffset?: number;
  /** Pages in reverse order of address, so that no two touch. */
  readonly scattered?: boolean;
  /** The list begins this far inside its page, so that lists chain early; a multiple of 8. */
  readonly listOffset?: number;
}

/** Entries of a PRP list as they are in memory, right or wrong. */
export function prpList(...entries: readonly number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(entries, (entry) => BigInt(entry)).buffer);
}

/** Guest pages for `sizeBytes` and the PRP entries and lists that describe them (NVMe Base 2.0, 4.1.1). */
export class PrpPages implements DataBuffer {
  readonly sizeBytes: number;
  readonly prp1: number;
  readonly prp2: number;
  readonly pages: readonly number[];
  readonly #ram: Ram;
  readonly #block: number;
  readonly #pageOffset: number;
  readonly #lists: number[] = [];

  constructor(ram: Ram, sizeBytes: number, options: PrpOptions = {}) {
    const { pageOffset = 0, scattered = false, listOffset = 0 } = options;
    const count = Math.max(1, Math.ceil((pageOffset + sizeBytes) / PAGE_BYTES));
    this.#ram = ram;
    this.#pageOffset = pageOffset;
    this.sizeBytes = sizeBytes;
    this.#block = ram.allocate(count * PAGE_BYTES);
    const pages = Array.from({ length: count }, (_, i) => this.#block + i * PAGE_BYTES);
    this.pages = scattered ? pages.reverse() : pages;
    this.prp1 = this.pages[0]! + pageOffset;
    this.prp2 = count <= 2 ? (this.pages[1] ?? 0) : this.#list(this.pages.slice(1), listOffset);
  }

  get iova(): number {
    return this.prp1;
  }

  get pointer() {
    return { prp1: this.prp1, prp2: this.prp2 };
  }

  store(bytes: Uint8Array): void {
    this.#each((iova, from, to) => this.#ram.store(iova, bytes.subarray(from, to)));
  }

  load(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes);
    this.#each((iova, from, to) => bytes.set(this.#ram.load(iova, to - from), from));
    return bytes;
  }

  free(): void {
    this.#ram.free(this.#block);
    for (const list of this.#lists) this.#ram.free(list);
  }

  #each(visit: (iova: number, from: number, to: number) => void): void {
    let done = 0;
    for (const [i, page] of this.pages.entries()) {
      const skip = i === 0 ? this.#pageOffset : 0;
      const length = Math.min(PAGE_BYTES - skip, this.sizeBytes - done);
      visit(page + skip, done, done + length);
      done += length;
    }
  }

  /** A list of pages; its last entry points to the next list where it does not hold all. */
  #list(pages: readonly number[], offset: number): number {
    const list = this.#ram.allocate(PAGE_BYTES);
    this.#lists.push(list);
    const room = (PAGE_BYTES - offset) / 8;
    const bytes = new Uint8Array(PAGE_BYTES - offset);
    const view = new DataView(bytes.buffer);
    const here = pages.length <= room ? pages.length : room - 1;
    for (let i = 0; i < here; i++) view.setBigUint64(i * 8, BigInt(pages[i]!), true);
    if (here < pages.length) view.setBigUint64(here * 8, BigInt(this.#list(pages.slice(here), 0)), true);
    this.#ram.store(list + offset, bytes);
    return list + offset;
  }
}

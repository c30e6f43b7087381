const PAGE_BYTES = 4096;

/** Hands out pages of a range of guest addresses, lowest first. */
export class PageAllocator {
  readonly iova: number;
  readonly #used: Uint8Array;
  readonly #lengths = new Map<number, number>();
  #next = 0;

  constructor(iova: number, sizeBytes: number) {
    this.iova = iova;
    this.#used = new Uint8Array(Math.floor(sizeBytes / PAGE_BYTES));
  }

  /** Whole pages for `sizeBytes`, the first at a multiple of `alignmentBytes`. @throws RangeError when there is no room. */
  allocate(sizeBytes: number, alignmentBytes = PAGE_BYTES): number {
    const pages = Math.max(1, Math.ceil(sizeBytes / PAGE_BYTES));
    const found = this.#find(pages, alignmentBytes, this.#next) ?? this.#find(pages, alignmentBytes, 0);
    if (found === null) throw new RangeError(`guest memory has no ${sizeBytes} bytes left`);
    this.#used.fill(1, found, found + pages);
    this.#next = found + pages;
    const iova = this.iova + found * PAGE_BYTES;
    this.#lengths.set(iova, pages);
    return iova;
  }

  /** Gives back what `allocate` answered. */
  free(iova: number): void {
    const pages = this.#lengths.get(iova);
    if (pages === undefined) throw new RangeError(`0x${iova.toString(16)} was not allocated`);
    this.#lengths.delete(iova);
    const first = (iova - this.iova) / PAGE_BYTES;
    this.#used.fill(0, first, first + pages);
    this.#next = Math.min(this.#next, first);
  }

  #find(pages: number, alignmentBytes: number, from: number): number | null {
    let run = 0;
    for (let page = from; page < this.#used.length; page++) {
      if (run === 0 && (this.iova + page * PAGE_BYTES) % alignmentBytes !== 0) continue;
      run = this.#used[page] === 0 ? run + 1 : 0;
      if (run === pages) return page - pages + 1;
    }
    return null;
  }
}

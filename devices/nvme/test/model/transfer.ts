import { type GuestPages, type Opened, PAGE } from './guest-pages.ts';

/** How data lies in memory, and how it is described (NVMe Base 2.0, 4.1.1). */
export interface Shape {
  /** Where it begins in its first page; a multiple of 4. */
  readonly offset: number;
  /** Entries that fit into the first page of the list, where there is one: 2 and more, so that lists chain early. */
  readonly listRoom: number;
  /** An entry that is to be wrong: its index, and what is added to it: 1, 2, or `hole`. */
  readonly wrong: { readonly entry: number; readonly add: number } | null;
}

export const plainShape: Shape = { offset: 0, listRoom: 512, wrong: null };

/** Where no memory is. */
export const hole = 0x7f00_0000_0000;

/** Data of a command in pages anywhere, with its PRP entries and lists. */
export class Transfer {
  readonly lengthBytes: number;
  readonly prp1: number;
  readonly prp2: number;
  /** Every entry that the command uses is as it should be. */
  readonly wrong: 'nothing' | 'unaligned' | 'offset' | 'hole';
  readonly #memory: GuestPages;
  readonly #pages: number[];
  readonly #lists: number[] = [];
  readonly #offset: number;
  #opened: Opened[] = [];

  private constructor(memory: GuestPages, pages: number[], lists: number[], lengthBytes: number, shape: Shape) {
    this.#memory = memory;
    this.#pages = pages;
    this.#lists = lists;
    this.#offset = shape.offset;
    this.lengthBytes = lengthBytes;
    const entries = pages.map((page, index) => (index === 0 ? page + shape.offset : page));
    const { wrong } = shape;
    const at = wrong === null ? 0 : wrong.entry % entries.length;
    if (wrong !== null) entries[at]! += wrong.add;
    this.wrong = wrong === null ? 'nothing' : wrong.add === hole ? 'hole' : at === 0 ? 'unaligned' : 'offset';
    this.prp1 = entries[0]!;
    this.prp2 = entries.length <= 2 ? (entries[1] ?? 0) : this.#list(entries.slice(1), shape.listRoom);
  }

  /** Null: there is no memory left. */
  static make(memory: GuestPages, lengthBytes: number, shape: Shape): Transfer | null {
    const count = Math.max(1, Math.ceil((shape.offset + lengthBytes) / PAGE));
    const lists = count <= 2 ? 0 : listPages(count - 1, shape.listRoom);
    if (memory.free < count + lists + 16) return null;
    const taken = Array.from({ length: count + lists }, () => memory.take()!);
    return new Transfer(memory, taken.slice(0, count), taken.slice(count), lengthBytes, shape);
  }

  store(bytes: Uint8Array): void {
    this.#each((iova, from, to) => this.#memory.store(iova, bytes.subarray(from, to)));
  }

  load(): Uint8Array {
    const bytes = new Uint8Array(this.lengthBytes);
    this.#each((iova, from, to) => bytes.set(this.#memory.ram.load(iova, to - from), from));
    return bytes;
  }

  /** The device may write it. */
  open(): void {
    this.#each((iova, from, to) => this.#opened.push(this.#memory.open(iova, to - from)));
  }

  /** The command has ended: nobody but the driver touches it. */
  close(): void {
    for (const opened of this.#opened.splice(0)) this.#memory.close(opened);
  }

  free(): void {
    this.close();
    for (const page of [...this.#pages, ...this.#lists]) this.#memory.give(page);
  }

  #each(visit: (iova: number, from: number, to: number) => void): void {
    let done = 0;
    for (const [index, page] of this.#pages.entries()) {
      const skip = index === 0 ? this.#offset : 0;
      const lengthBytes = Math.min(PAGE - skip, this.lengthBytes - done);
      visit(page + skip, done, done + lengthBytes);
      done += lengthBytes;
    }
  }

  /** Lists in the pages that were taken for them, each but the last ending in the address of the next. */
  #list(entries: number[], firstRoom: number): number {
    let rest = entries;
    const start = this.#lists[0]! + PAGE - firstRoom * 8;
    for (const [index, page] of this.#lists.entries()) {
      const room = index === 0 ? firstRoom : PAGE / 8;
      const here = rest.length <= room ? rest : [...rest.slice(0, room - 1), this.#lists[index + 1]!];
      rest = rest.length <= room ? [] : rest.slice(room - 1);
      const at = index === 0 ? start : page;
      this.#memory.store(at, new Uint8Array(BigUint64Array.from(here, (entry) => BigInt(entry)).buffer));
    }
    return start;
  }
}

function listPages(entries: number, firstRoom: number): number {
  let pages = 1;
  for (let left = entries, room = firstRoom; left > room; room = PAGE / 8) {
    left -= room - 1;
    pages++;
  }
  return pages;
}

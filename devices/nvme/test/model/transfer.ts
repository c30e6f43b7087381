import { encodeSgl, type NvmeCommand, prpList, SglType, sglPointer } from '@sidecard/testing';
import { Status } from '../../src/status.ts';
import { type GuestPages, type Opened, PAGE } from './guest-pages.ts';

/** How data lies in memory, and how it is described. */
export interface Shape {
  /** Where it begins in its first page; a multiple of 4. */
  readonly offset: number;
  /** Entries that fit into the first page of the list, where there is one: 2 and more, so that lists chain early. */
  readonly listRoom: number;
  /** Something that is to be wrong: which entry or descriptor, and how. */
  readonly wrong: { readonly entry: number; readonly add: number } | null;
  /** Where the command takes one, an SGL: lengths of its data blocks, over and over, and descriptors of a segment. */
  readonly sgl: { readonly parts: readonly number[]; readonly perSegment: number } | null;
}

export const plainShape: Shape = { offset: 0, listRoom: 512, wrong: null, sgl: null };

/** Where no memory is. */
export const hole = 0x7f00_0000_0000;

interface Stretch {
  readonly iova: number;
  readonly lengthBytes: number;
}

/** Data of a command in guest memory, with what describes it to the device. */
export class Transfer {
  readonly lengthBytes: number;
  /** The fields of the command. */
  readonly pointer: Partial<NvmeCommand>;
  /** How the command may fail for it, and whether it must. */
  readonly failures: readonly number[];
  readonly mustFail: boolean;
  readonly #memory: GuestPages;
  readonly #pages: readonly number[];
  readonly #stretches: readonly Stretch[];
  #opened: Opened[] = [];

  constructor(memory: GuestPages, pages: readonly number[], stretches: readonly Stretch[], described: Described) {
    this.#memory = memory;
    this.#pages = pages;
    this.#stretches = stretches;
    this.lengthBytes = stretches.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    this.pointer = described.pointer;
    this.failures = described.failures;
    this.mustFail = described.mustFail;
  }

  /** PRP entries; null: there is no memory left. */
  static prp(memory: GuestPages, lengthBytes: number, shape: Shape): Transfer | null {
    const count = Math.max(1, Math.ceil((shape.offset + lengthBytes) / PAGE));
    const lists = count <= 2 ? 0 : listPages(count - 1, shape.listRoom);
    const taken = takePages(memory, count + lists);
    if (taken === null) return null;
    const pages = taken.slice(0, count);
    const stretches: Stretch[] = [];
    let left = lengthBytes;
    for (const [index, page] of pages.entries()) {
      const skip = index === 0 ? shape.offset : 0;
      const here = Math.min(PAGE - skip, left);
      stretches.push({ iova: page + skip, lengthBytes: here });
      left -= here;
    }
    return new Transfer(memory, taken, stretches, describePrp(memory, stretches, taken.slice(count), shape));
  }

  /** PRP entries, or the SGL of the shape. */
  static any(memory: GuestPages, lengthBytes: number, shape: Shape): Transfer | null {
    const { sgl } = shape;
    if (sgl === null) return Transfer.prp(memory, lengthBytes, shape);
    const lengths: number[] = [];
    for (let left = lengthBytes; left > 0; left -= lengths.at(-1)!) {
      lengths.push(Math.min(left, sgl.parts[lengths.length % sgl.parts.length]!));
    }
    const segments = Math.ceil(lengths.length / (sgl.perSegment - 1));
    const taken = takePages(memory, lengths.length + segments);
    if (taken === null) return null;
    const stretches = lengths.map((length, index) => {
      const iova = taken[index]! + Math.floor(memory.random() * (PAGE - length + 1));
      return { iova, lengthBytes: length };
    });
    return new Transfer(memory, taken, stretches, describeSgl(memory, stretches, taken.slice(lengths.length), shape));
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
    for (const page of this.#pages) this.#memory.give(page);
  }

  #each(visit: (iova: number, from: number, to: number) => void): void {
    let done = 0;
    for (const { iova, lengthBytes } of this.#stretches) {
      visit(iova, done, done + lengthBytes);
      done += lengthBytes;
    }
  }
}

interface Described {
  readonly pointer: Partial<NvmeCommand>;
  readonly failures: readonly number[];
  readonly mustFail: boolean;
}

/** PRP entries and lists (NVMe Base 2.0, 4.1.1). */
function describePrp(memory: GuestPages, stretches: readonly Stretch[], lists: number[], shape: Shape): Described {
  const entries = stretches.map(({ iova }) => iova);
  const { wrong } = shape;
  const at = wrong === null ? 0 : wrong.entry % entries.length;
  if (wrong !== null) entries[at]! += wrong.add;
  const prp2 = entries.length <= 2 ? (entries[1] ?? 0) : storeList(memory, lists, entries.slice(1), shape.listRoom);
  const pointer = { prp1: entries[0]!, prp2 };
  if (wrong === null) return { pointer, failures: [], mustFail: false };
  if (wrong.add === hole) return { pointer, failures: [Status.dataTransferError], mustFail: true };
  // A controller need not look at the two lowest bits of PRP1.
  return { pointer, failures: [Status.invalidPrpOffset], mustFail: at > 0 };
}

/** Lists in the pages that were taken for them, each but the last ending in the address of the next. */
function storeList(
  memory: GuestPages,
  lists: readonly number[],
  entries: readonly number[],
  firstRoom: number,
): number {
  let rest = entries;
  for (const [index, page] of lists.entries()) {
    const room = index === 0 ? firstRoom : PAGE / 8;
    const here = rest.length <= room ? rest : [...rest.slice(0, room - 1), lists[index + 1]!];
    rest = rest.length <= room ? [] : rest.slice(room - 1);
    const at = page + PAGE - room * 8;
    memory.store(at, prpList(...here));
  }
  return lists[0]! + PAGE - firstRoom * 8;
}

function listPages(entries: number, firstRoom: number): number {
  let pages = 1;
  for (let left = entries, room = firstRoom; left > room; room = PAGE / 8) {
    left -= room - 1;
    pages++;
  }
  return pages;
}

/** Segments of data blocks, each but the last ending in the address of the next (4.1.2). */
function describeSgl(memory: GuestPages, stretches: readonly Stretch[], segments: number[], shape: Shape): Described {
  const room = shape.sgl!.perSegment - 1;
  const { wrong } = shape;
  const blocks = stretches.map(({ iova, lengthBytes }) => ({
    type: SglType.dataBlock as number,
    address: iova,
    lengthBytes,
  }));
  const at = wrong === null ? -1 : wrong.entry % blocks.length;
  const bad = blocks[at];
  if (bad !== undefined && wrong?.add === hole) bad.address = hole;
  else if (bad !== undefined) bad.type = 7;
  const single = blocks.length === 1;
  let next = single ? blocks[0]! : null;
  for (let index = segments.length - 1; index >= 0 && !single; index--) {
    const here = blocks.slice(index * room, (index + 1) * room);
    if (next !== null) here.push(next);
    memory.store(segments[index]!, encodeSgl(here));
    const type = next === null ? SglType.lastSegment : SglType.segment;
    next = { type, address: segments[index]!, lengthBytes: here.length * 16 };
  }
  const failure = wrong?.add === hole ? Status.dataTransferError : Status.invalidSglType;
  return { pointer: sglPointer(next!), failures: bad === undefined ? [] : [failure], mustFail: bad !== undefined };
}

/** Null when too few would be left for what has to go on. */
function takePages(memory: GuestPages, count: number): number[] | null {
  return memory.free < count + 16 ? null : Array.from({ length: count }, () => memory.take()!);
}

import { History, type Written } from './history.ts';
import { must } from './violation.ts';

/** Every write of a block has a number of its own, and fills it with words made of that; zeroes are number 0. */
export const zeroes = 0;
/** What Write Uncorrectable leaves: what is there is no longer to be read. */
export const unreadable = -2;

export function fillBlock(words: Uint32Array, at: number, count: number, tag: number): void {
  for (let index = 0; index < count; index++)
    words[at + index] = tag === zeroes ? 0 : tag ^ Math.imul(index, 0x9e37_79b1);
}

/** The number of what is in a block; -1: it is of no single write. */
export function tagOf(words: Uint32Array, at: number, count: number): number {
  const tag = words[at]!;
  for (let index = 1; index < count; index++) {
    const word = tag === zeroes ? 0 : (tag ^ Math.imul(index, 0x9e37_79b1)) >>> 0;
    if (words[at + index] !== word) return -1;
  }
  return tag;
}

/** What the drive has, as far as the model may look at it. */
export interface Platter {
  readonly bytes: Uint8Array;
  /** What would be left after a loss of power. */
  readonly durable: Uint8Array;
}

/** The blocks of a namespace, each with what it may contain. */
export class DiskModel {
  readonly nsid: number;
  readonly blockBytes: number;
  readonly blocks: readonly History<number>[];
  /** A flush has failed, and so do all that follow (storage.md, Durability). */
  /** Attached: commands for it find it. */
  attached = true;
  flushMayFail = false;
  /** When the driver was told: what begins later fails for certain. */
  flushFailedAt = Number.POSITIVE_INFINITY;
  readonly #platter: Platter;
  readonly #wordsPerBlock: number;

  constructor(nsid: number, blockBytes: number, platter: Platter) {
    this.nsid = nsid;
    this.blockBytes = blockBytes;
    this.#platter = platter;
    this.#wordsPerBlock = blockBytes / 4;
    this.blocks = Array.from({ length: platter.bytes.length / blockBytes }, () => new History<number>(zeroes));
  }

  /** A write of blocks from `first` on, one number each. */
  begin(first: number, tags: readonly number[], now: number): Written<number>[] {
    return tags.map((tag, index) => this.blocks[first + index]!.begin(tag, now));
  }

  end(first: number, writes: readonly Written<number>[], now: number): void {
    for (const [index, write] of writes.entries()) this.blocks[first + index]!.end(write, now);
  }

  drop(first: number, writes: readonly Written<number>[], now: number): void {
    for (const [index, write] of writes.entries()) this.blocks[first + index]!.drop(write, now);
  }

  never(first: number, writes: readonly Written<number>[]): void {
    for (const [index, write] of writes.entries()) this.blocks[first + index]!.never(write);
  }

  bytesOf(tags: readonly number[]): Uint8Array {
    const words = new Uint32Array(tags.length * this.#wordsPerBlock);
    for (const [index, tag] of tags.entries()) fillBlock(words, index * this.#wordsPerBlock, this.#wordsPerBlock, tag);
    return new Uint8Array(words.buffer);
  }

  /** A read from `since` to `now` has given these bytes. */
  checkRead(first: number, bytes: Uint8Array, since: number, now: number, what: string): void {
    for (const [index, tag] of this.#tags(bytes).entries()) {
      const block = this.blocks[first + index]!;
      must(
        block.saw(tag, since, now),
        () => `${what}: block ${first + index} of namespace ${this.nsid} was ${tag}, not one of ${block}`,
      );
    }
  }

  /** A read since then may have met a block that cannot be read. */
  mayBeUnreadable(first: number, count: number, since: number): boolean {
    return this.blocks.slice(first, first + count).some((block) => block.allows(unreadable, since));
  }

  /** What was written before `since` would survive a loss of power now. */
  checkDurable(since: number, what: string, first = 0, count = this.blocks.length): void {
    const { durable } = this.#platter;
    const bytes = durable.subarray(first * this.blockBytes, (first + count) * this.blockBytes);
    for (const [index, tag] of this.#tags(bytes).entries()) {
      const block = this.blocks[first + index]!;
      if (block.allows(unreadable, since)) continue;
      must(
        block.allows(tag, since),
        () => `${what}: block ${first + index} of namespace ${this.nsid} is durable as ${tag}, not as one of ${block}`,
      );
    }
  }

  /** Nothing is in flight: the drive has what it says from here on. */
  look(now: number): void {
    for (const [index, tag] of this.#tags(this.#platter.bytes).entries()) {
      const block = this.blocks[index]!;
      // What is under a mark is nobody's business.
      if (!block.allows(unreadable, now)) {
        must(
          block.saw(tag, now, now),
          () => `the drive: block ${index} of namespace ${this.nsid} is ${tag}, not one of ${block}`,
        );
      }
      block.prune();
    }
  }

  #tags(bytes: Uint8Array): number[] {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const tags: number[] = [];
    for (let at = 0; at < words.length; at += this.#wordsPerBlock) tags.push(tagOf(words, at, this.#wordsPerBlock));
    return tags;
  }
}

import { type DmaTask, type GuestMemory, HostBuffer, type ScatterList } from '@sidecard/core';
import { maxPages } from '../limits.ts';
import { type Failure, Field, mistake, Status, walkPending } from '../status.ts';

const wrongPrp1 = mistake(Status.invalidPrpOffset, Field.prp1);
const wrongPrp2 = mistake(Status.invalidPrpOffset, Field.prp2);

/** Words of the submission queue entry. */
const prp1 = Field.prp1 / 4;
const prp2 = Field.prp2 / 4;

/**
 * Physical Region Pages (NVMe Base 2.0, 4.1.1): the first entry may begin inside a page, every other one fills its page;
 * the second is a page, or where more than two are needed the address of a list. The last entry of a page of the list points
 * to the next page of it while more entries are needed than fit.
 *
 * A walk is part of a command's record: where a list is fetched by messages it is entered again.
 */
export class PrpWalk {
  #list: HostBuffer | null = null;
  /** Where it goes on, in two words. */
  readonly #next = new Int32Array(2);
  /** Bytes that still want a page; 0 is the end. */
  #remaining = 0;

  /**
   * Adds the pages of a transfer to `scatter`, which has begun; pending: there is a list to `walk`.
   * @param words of the submission queue entry.
   * @returns a failure, or 0; Data Transfer Error (04h) where the guest named memory that isn't there.
   */
  begin(scatter: ScatterList, words: Int32Array, lengthBytes: number, pageBytes: number): Failure {
    const first = words[prp1]!;
    if ((first & 3) !== 0) return wrongPrp1;
    const inFirst = pageBytes - (first & (pageBytes - 1));
    if (lengthBytes <= inFirst)
      return scatter.addAt(words, prp1, lengthBytes) ? Status.success : Status.dataTransferError;
    if (!scatter.addAt(words, prp1, inFirst)) return Status.dataTransferError;
    const rest = lengthBytes - inFirst;
    const second = words[prp2]!;
    if (rest <= pageBytes) {
      if ((second & (pageBytes - 1)) !== 0) return wrongPrp2;
      return scatter.addAt(words, prp2, rest) ? Status.success : Status.dataTransferError;
    }
    if ((second & 7) !== 0) return wrongPrp2;
    this.#goOn(words, prp2);
    this.#remaining = rest;
    return walkPending;
  }

  /** Walks the list, to be called until it answers something else than pending. */
  walk(task: DmaTask, memory: GuestMemory, scatter: ScatterList, pageBytes: number): Failure {
    this.#list ??= HostBuffer.alloc(maxPages * 8);
    const words = this.#list.words;
    while (this.#remaining > 0) {
      const wanted = Math.ceil(this.#remaining / pageBytes);
      const fitting = (pageBytes - (this.#next[0]! & (pageBytes - 1))) / 8;
      const chained = wanted > fitting;
      const entries = chained ? fitting : wanted;
      const result = memory.loadAt(task, this.#next, 0, this.#list, 0, entries * 8);
      if (result === 'pending') return walkPending;
      if (result === 'fault') return Status.dataTransferError;
      const pages = chained ? entries - 1 : entries;
      for (let index = 0; index < pages; index++) {
        if ((words[2 * index]! & (pageBytes - 1)) !== 0) return wrongPrp2;
        const lengthBytes = Math.min(this.#remaining, pageBytes);
        if (!scatter.addAt(words, 2 * index, lengthBytes)) return Status.dataTransferError;
        this.#remaining -= lengthBytes;
      }
      if (chained) {
        // Aligned, so every page of the list brings entries and no chain is walked for ever.
        if ((words[2 * pages]! & (pageBytes - 1)) !== 0) return wrongPrp2;
        this.#goOn(words, 2 * pages);
      }
    }
    return Status.success;
  }

  #goOn(words: Int32Array, at: number): void {
    this.#next[0] = words[at]!;
    this.#next[1] = words[at + 1]!;
  }
}

import { type DmaTask, type GuestMemory, HostBuffer, type ScatterList } from '@sidecard/core';
import { maxPages } from './limits.ts';
import { type Failure, Field, mistake, Status, walkPending } from './status.ts';

const wrongPrp1 = mistake(Status.invalidPrpOffset, Field.prp1);
const wrongPrp2 = mistake(Status.invalidPrpOffset, Field.prp2);

/**
 * Physical Region Pages (NVMe Base 2.0, 4.1.1): the first entry may begin inside a page, every other one fills its page;
 * the second is a page, or where more than two are needed the address of a list. The last entry of a page of the list points
 * to the next page of it while more entries are needed than fit.
 *
 * A walk is part of a command's record: where a list is fetched by messages it is entered again.
 */
export class PrpWalk {
  #list: HostBuffer | null = null;
  #listIova = 0;
  /** Bytes that still want a page; 0 is the end. */
  #remaining = 0;

  /**
   * Adds the pages of a transfer to `scatter`, which has begun; pending: there is a list to `walk`.
   * @returns a failure, or 0; Data Transfer Error (04h) where the guest named memory that isn't there.
   */
  begin(scatter: ScatterList, prp1: number, prp2: number, lengthBytes: number, pageBytes: number): Failure {
    if (prp1 % 4 !== 0) return wrongPrp1;
    const inFirst = pageBytes - (prp1 % pageBytes);
    if (lengthBytes <= inFirst) return scatter.add(prp1, lengthBytes) ? Status.success : Status.dataTransferError;
    if (!scatter.add(prp1, inFirst)) return Status.dataTransferError;
    const rest = lengthBytes - inFirst;
    if (rest <= pageBytes) {
      if (prp2 % pageBytes !== 0) return wrongPrp2;
      return scatter.add(prp2, rest) ? Status.success : Status.dataTransferError;
    }
    if (prp2 % 8 !== 0) return wrongPrp2;
    this.#listIova = prp2;
    this.#remaining = rest;
    return walkPending;
  }

  /** Walks the list, to be called until it answers something else than pending. */
  walk(task: DmaTask, memory: GuestMemory, scatter: ScatterList, pageBytes: number): Failure {
    this.#list ??= HostBuffer.alloc(maxPages * 8);
    const words = this.#list.words;
    while (this.#remaining > 0) {
      const wanted = Math.ceil(this.#remaining / pageBytes);
      const fitting = (pageBytes - (this.#listIova % pageBytes)) / 8;
      const chained = wanted > fitting;
      const entries = chained ? fitting : wanted;
      const result = memory.load(task, this.#listIova, this.#list, 0, entries * 8);
      if (result === 'pending') return walkPending;
      if (result === 'fault') return Status.dataTransferError;
      const pages = chained ? entries - 1 : entries;
      for (let index = 0; index < pages; index++) {
        const low = words[2 * index]!;
        const iova = (low >>> 0) + (words[2 * index + 1]! >>> 0) * 0x1_0000_0000;
        // Of the low word: a sum above 2**53 is rounded.
        if ((low & (pageBytes - 1)) !== 0) return wrongPrp2;
        const lengthBytes = Math.min(this.#remaining, pageBytes);
        if (!scatter.add(iova, lengthBytes)) return Status.dataTransferError;
        this.#remaining -= lengthBytes;
      }
      if (chained) {
        const next = (words[2 * pages]! >>> 0) + (words[2 * pages + 1]! >>> 0) * 0x1_0000_0000;
        // Aligned, so every page of the list brings entries and no chain is walked for ever.
        if (next % pageBytes !== 0) return wrongPrp2;
        this.#listIova = next;
      }
    }
    return Status.success;
  }
}

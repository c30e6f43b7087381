import type { ColumnArrays } from '@sidecard/core';
import type { DriveNotes } from '../namespaces/drive-notes.ts';

/** One row per range of blocks that Write Uncorrectable has marked, of whichever namespace; in no order. */
export const uncorrectableColumns = {
  /** 0: the row is free. Stored last when a row is taken. */
  nsid: 'i32',
  begin: { type: 'f64', unit: 'bytes' },
  end: { type: 'f64', unit: 'bytes' },
} as const;
export type UncorrectableRows = ColumnArrays<typeof uncorrectableColumns>;

/**
 * The blocks of a namespace that Write Uncorrectable has marked (NVM Command Set 1.0, 3.2.7): reading them fails until they are written. Ranges that
 * touch are one. In bytes, so that they mean the same whatever the LBA format; and beside the image, where they outlive the process.
 */
export class UncorrectableBlocks {
  /** Ranges; 0 on nearly every drive, and then nobody looks further. */
  count = 0;
  readonly #nsid: number;
  readonly #rows: UncorrectableRows;
  readonly #notes: DriveNotes;

  /** @throws Error, one line, when there are more ranges than rows. */
  constructor(nsid: number, rows: UncorrectableRows, notes: DriveNotes) {
    this.#nsid = nsid;
    this.#rows = rows;
    this.#notes = notes;
    for (let row = 0; row < rows.nsid.length; row++) if (rows.nsid[row] === nsid) this.count++;
    // The rows that a successor finds are newer than the file; its predecessor may have died before it was replaced.
    if (this.count > 0) this.save().catch(() => {});
    else this.#load(notes.content.uncorrectable ?? []);
  }

  /** The first byte of the range that is marked, or -1. */
  find(begin: number, end: number): number {
    if (this.count === 0) return -1;
    const rows = this.#rows;
    let first = -1;
    for (let row = 0; row < rows.nsid.length; row++) {
      if (!this.#overlaps(row, begin, end)) continue;
      const at = Math.max(begin, rows.begin[row]!);
      if (first < 0 || at < first) first = at;
    }
    return first;
  }

  /** Marks a range. False when there is no row for it: nothing is changed then. */
  mark(begin: number, end: number): boolean {
    const rows = this.#rows;
    let into = -1;
    for (let row = 0; row < rows.nsid.length; row++) {
      // Those that only touch it as well.
      if (!this.#overlaps(row, begin - 1, end + 1)) continue;
      if (into < 0) into = row;
      rows.begin[into] = Math.min(rows.begin[into]!, rows.begin[row]!, begin);
      rows.end[into] = Math.max(rows.end[into]!, rows.end[row]!, end);
      if (row !== into) this.#free(row);
    }
    return into >= 0 || this.#add(begin, end);
  }

  /** Takes marks off a range: what they were, or null when a range would be cut in two and there is no row for that: nothing is changed then. */
  unmark(begin: number, end: number): [number, number][] | null {
    const rows = this.#rows;
    const were: [number, number][] = [];
    for (let row = 0; row < rows.nsid.length; row++) {
      if (!this.#overlaps(row, begin, end)) continue;
      const [from, to] = [rows.begin[row]!, rows.end[row]!];
      if (from < begin && to > end && !this.#add(end, to)) return null;
      were.push([Math.max(from, begin), Math.min(to, end)]);
      if (from < begin) rows.end[row] = begin;
      else if (to > end) rows.begin[row] = end;
      else this.#free(row);
    }
    return were;
  }

  /** Takes all marks off: the namespace is formatted. Durable once resolved. */
  clear(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    this.forget();
    return this.save();
  }

  /** Gives the rows back: the namespace is gone, and what was beside it. */
  forget(): void {
    for (let row = 0; row < this.#rows.nsid.length; row++) if (this.#rows.nsid[row] === this.#nsid) this.#free(row);
  }

  /** What is marked, is so beside the image once resolved. Rejects with an Error of one line. */
  save(): Promise<void> {
    const { nsid, begin, end } = this.#rows;
    const ranges: [number, number][] = [];
    nsid.forEach((owner, row) => {
      if (owner === this.#nsid) ranges.push([begin[row]!, end[row]!]);
    });
    ranges.sort(([a], [b]) => a - b);
    return this.#notes.change({ uncorrectable: ranges.length === 0 ? undefined : ranges });
  }

  #load(ranges: readonly (readonly [number, number])[]): void {
    for (const [begin, end] of ranges) {
      if (this.mark(begin, end)) continue;
      this.forget();
      throw new Error(`a drive has more than ${this.#rows.nsid.length} ranges marked uncorrectable`);
    }
  }

  #overlaps(row: number, begin: number, end: number): boolean {
    const rows = this.#rows;
    return rows.nsid[row] === this.#nsid && rows.begin[row]! < end && begin < rows.end[row]!;
  }

  #add(begin: number, end: number): boolean {
    const row = this.#rows.nsid.indexOf(0);
    if (row < 0) return false;
    this.#rows.begin[row] = begin;
    this.#rows.end[row] = end;
    this.#rows.nsid[row] = this.#nsid;
    this.count++;
    return true;
  }

  #free(row: number): void {
    this.#rows.nsid[row] = 0;
    this.count--;
  }
}

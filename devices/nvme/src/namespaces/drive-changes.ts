import type { StateArena } from '@sidecard/core';

/** Most drives that are added to those of the command line, at a time. */
export const mostAddedDrives = 16;
/** Longest text of `--drive` that is kept: a path is 4096 bytes at most. */
export const mostDriveBytes = 4096;

/** By nsid: a drive of the command line that a person has removed. */
const removedColumns = { removed: 'u8' } as const;
/** Drives that a person has added. A row without an nsid is free; that is stored last. */
const addedColumns = { nsid: 'i32', lengthBytes: 'i32' } as const;

/** A drive that was added: its namespace, and what it was given as. */
export interface AddedDrive {
  readonly nsid: number;
  readonly drive: string;
}

/**
 * What a person has changed of the drives that the command line gives: a successor, which is started with the same command line, opens what was added,
 * and not what was removed. (A start of its own knows nothing of it.)
 */
export class DriveChanges {
  readonly #removed: Uint8Array;
  readonly #added;
  readonly #texts;

  /** @param drives how many the command line gives. */
  constructor(state: StateArena, drives: number) {
    this.#removed = state.table('nvme/removed-drive', removedColumns, drives + 1).removed;
    this.#added = state.table('nvme/added-drive', addedColumns, mostAddedDrives);
    this.#texts = state.bytes('nvme/added-drive/text', mostAddedDrives * mostDriveBytes);
  }

  /** Whether the drive with that nsid at the command line is not there any more. */
  removed(nsid: number): boolean {
    return this.#removed[nsid] !== 0;
  }

  get added(): AddedDrive[] {
    const { nsid, lengthBytes } = this.#added;
    return [...nsid.keys()].flatMap((row) => {
      if (nsid[row] === 0) return [];
      const begin = row * mostDriveBytes;
      return [
        { nsid: nsid[row]!, drive: Buffer.from(this.#texts.bytes.slice(begin, begin + lengthBytes[row]!)).toString() },
      ];
    });
  }

  /** There is no room to note another. */
  get full(): boolean {
    return !this.#added.nsid.includes(0);
  }

  /** @param drive as after `--drive`. */
  add(nsid: number, drive: string): void {
    const row = this.#added.nsid.indexOf(0);
    const text = Buffer.from(drive);
    this.#texts.bytes.set(text, row * mostDriveBytes);
    this.#added.lengthBytes[row] = text.length;
    this.#added.nsid[row] = nsid;
  }

  remove(nsid: number): void {
    const row = this.#added.nsid.indexOf(nsid);
    if (row >= 0) this.#added.nsid[row] = 0;
    else this.#removed[nsid] = 1;
  }
}

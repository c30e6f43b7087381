import {
  type BlockBackend,
  type BlockRequest,
  type DriveOptions,
  Limiter,
  type Limits,
  unlimited,
} from '@sidecard/block';
import type { Clock, ColumnArrays } from '@sidecard/core';
import { type NamespaceIdentity, namespaceIdentity } from '../identity.ts';
import { UncorrectableBlocks, type UncorrectableRows } from '../io/uncorrectable-blocks.ts';
import { type Failure, Status } from '../status.ts';
import { DriveNotes } from './drive-notes.ts';
import { defaultLbaBytes, type LbaBytes, lbaFormats } from './lba-formats.ts';

/** A drive and how it is shown. */
export interface NamespaceOptions {
  readonly backend: BlockBackend;
  /** As what the backend was opened; null where a test made it. */
  readonly drive?: DriveOptions | null;
  /** What its file is known by, whatever path leads to it (`fileIdentity`); null where it has none. */
  readonly file?: string | null;
  /** Logical block size that the person asked for, bytes; null: as it was formatted last. */
  readonly lbaBytes: LbaBytes | null;
  /** Whose block size cannot change, since nothing lasts that would tell: a block device. */
  readonly fixedFormat?: boolean;
  /** Made by Namespace Management, and so to be deleted by it; drives of the command line are not. */
  readonly deletable?: boolean;
  /** What is kept of it; beside the image unless given. */
  readonly notes?: DriveNotes;
  /** Derived from the drive unless given. */
  readonly identity?: NamespaceIdentity;
}

/** One row per namespace, by its nsid. */
export const namespaceColumns = {
  allocated: 'u8',
  attached: 'u8',
  /** A flush has failed: what the kernel dropped is lost, and no later flush may say otherwise (storage.md, Durability). */
  flushFailed: 'u8',
  /** Its limits, operations and bytes in a second; 0: none. A successor keeps to them. */
  iops: 'f64',
  bytesPerSecond: 'f64',
} as const;
export type NamespaceRows = ColumnArrays<typeof namespaceColumns>;

/** What is counted of a namespace since it is there, for who looks from outside: not in the arena, since no guest sees it. */
export const Count = { readCommands: 0, writeCommands: 1, readBytes: 2, writtenBytes: 3, failedCommands: 4 } as const;

/** A namespace with the NVM command set, which is a drive. */
export class Namespace {
  readonly nsid: number;
  readonly backend: BlockBackend;
  /** As what the backend was opened. */
  readonly drive: DriveOptions | null;
  readonly file: string | null;
  /** Sizes of logical blocks that it can be formatted to, by the index of the LBA format. */
  readonly formats: readonly LbaBytes[];
  lbaBytes: LbaBytes = defaultLbaBytes;
  /** 2 to the power of it is `lbaBytes`. */
  lbaShift = 9;
  readonly identity: NamespaceIdentity;
  readonly deletable: boolean;
  readonly notes: DriveNotes;
  /** What Write Uncorrectable has marked. */
  readonly uncorrectable: UncorrectableBlocks;
  /** What commands ask before they begin. */
  readonly limiter: Limiter;
  readonly #rows: NamespaceRows;
  /** Why commands for it fail at present (it is being formatted), or 0. */
  unavailable: Failure = Status.success;
  /** Percent of a format that is left, or 0 (FPI). */
  get formatRemaining(): number {
    return this.formatting?.remaining ?? 0;
  }
  /** A format under way: its intent is in the notes. */
  formatting: { readonly remaining: number } | null = null;
  /** It is being deleted, or its drive is being removed. */
  condemned = false;
  /** By `Count`. */
  readonly counts = new Float64Array(5);
  /** Commands that have entered and not left. */
  users = 0;
  readonly #whenUnused: (() => void)[] = [];
  /** Requests are with the backend that it has not been told to start. */
  #held = false;

  /** @throws Error, one line, when the drive is smaller than a block, its notes cannot be read, or it was formatted to other blocks than asked for. */
  constructor(nsid: number, options: NamespaceOptions, rows: NamespaceRows, marks: UncorrectableRows, clock: Clock) {
    const { geometry, description, identitySeed } = options.backend;
    this.nsid = nsid;
    this.backend = options.backend;
    this.drive = options.drive ?? null;
    this.file = options.file ?? null;
    this.identity = options.identity ?? namespaceIdentity(identitySeed);
    this.deletable = options.deletable ?? false;
    this.notes = options.notes ?? DriveNotes.beside(options.backend);
    this.#rows = rows;
    const formatted = this.notes.content.lbaBytes;
    if (formatted !== undefined && options.lbaBytes !== null && formatted !== options.lbaBytes) {
      throw new Error(
        `${description}: was formatted to blocks of ${formatted} bytes, not ${options.lbaBytes} (leave lba= out to take it as it is)`,
      );
    }
    this.setFormat(formatted ?? options.lbaBytes ?? defaultLbaBytes);
    if (geometry.sizeBytes < this.lbaBytes) {
      throw new Error(`${description}: ${geometry.sizeBytes} bytes are less than one block of ${this.lbaBytes}`);
    }
    this.formats = options.fixedFormat === true ? [this.lbaBytes] : lbaFormats;
    this.uncorrectable = new UncorrectableBlocks(nsid, marks, this.notes);
    this.limiter = new Limiter(clock);
    const isKnown = rows.allocated[nsid] !== 0;
    this.setLimits(isKnown ? this.limits : (this.drive?.limits ?? unlimited));
  }

  /** Size, logical blocks. What is left over at the end of the drive is not shown. */
  get blocks(): number {
    return Math.floor(this.backend.geometry.sizeBytes / this.lbaBytes);
  }
  get readOnly(): boolean {
    return this.backend.geometry.readOnly;
  }

  /** How the drive is cached; null where it is memory, and nothing of it lasts. */
  get cache(): DriveOptions['cache'] | null {
    return this.drive?.kind === 'file' ? this.drive.cache : null;
  }

  get attached(): boolean {
    return this.#rows.attached[this.nsid] !== 0;
  }

  get flushFailed(): boolean {
    return this.#rows.flushFailed[this.nsid] !== 0;
  }
  set flushFailed(failed: boolean) {
    this.#rows.flushFailed[this.nsid] = failed ? 1 : 0;
  }

  get limits(): Limits {
    const { iops, bytesPerSecond } = this.#rows;
    return { iops: iops[this.nsid]! || null, bytesPerSecond: bytesPerSecond[this.nsid]! || null };
  }
  setLimits(limits: Limits): void {
    this.#rows.iops[this.nsid] = limits.iops ?? 0;
    this.#rows.bytesPerSecond[this.nsid] = limits.bytesPerSecond ?? 0;
    this.limiter.set(limits);
  }

  contains(slba: number, blocks: number): boolean {
    return slba + blocks <= this.blocks;
  }

  /** No command may be under way, and the blocks have no meaning any more. */
  setFormat(lbaBytes: LbaBytes): void {
    this.lbaBytes = lbaBytes;
    this.lbaShift = Math.log2(lbaBytes);
  }

  enter(): void {
    this.users++;
  }

  leave(): void {
    if (--this.users > 0 || this.#whenUnused.length === 0) return;
    for (let waiting = this.#whenUnused.pop(); waiting !== undefined; waiting = this.#whenUnused.pop()) waiting();
  }

  /** Resolves when no command is under way in it. What waits for limits finds out what it is to be. */
  async unused(): Promise<void> {
    await this.settled();
    while (this.users > 0) await new Promise<void>((resolve) => this.#whenUnused.push(resolve));
  }

  /** Resolves when those that are under way in it now have ended; others may have come since. */
  async settled(): Promise<void> {
    this.limiter.letAllGo();
    if (this.users > 0) await new Promise<void>((resolve) => this.#whenUnused.push(resolve));
  }

  /** As BlockBackend.submit; what it holds starts with `commit`. */
  submit(request: BlockRequest): boolean {
    if (this.backend.submit(request)) return true;
    this.#held = true;
    return false;
  }

  commit(): void {
    if (!this.#held) return;
    this.#held = false;
    this.backend.commit();
  }
}

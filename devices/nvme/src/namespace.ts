import type { BlockBackend, BlockRequest } from '@sidecard/block';
import type { ColumnArrays } from '@sidecard/core';
import { DriveNotes } from './drive-notes.ts';
import { type NamespaceIdentity, namespaceIdentity } from './identity.ts';
import { type Failure, Status } from './status.ts';
import { UncorrectableBlocks, type UncorrectableRows } from './uncorrectable-blocks.ts';

/** A drive and how it is shown. */
export interface NamespaceOptions {
  readonly backend: BlockBackend;
  /** Logical block size, bytes: 512 or 4096. */
  readonly lbaBytes: 512 | 4096;
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
} as const;
export type NamespaceRows = ColumnArrays<typeof namespaceColumns>;

/** A namespace with the NVM command set, which is a drive. */
export class Namespace {
  readonly nsid: number;
  readonly backend: BlockBackend;
  readonly lbaBytes: number;
  /** 2 to the power of it is `lbaBytes`. */
  readonly lbaShift: number;
  readonly identity: NamespaceIdentity;
  readonly deletable: boolean;
  readonly notes: DriveNotes;
  /** What Write Uncorrectable has marked. */
  readonly uncorrectable: UncorrectableBlocks;
  readonly #rows: NamespaceRows;
  /** Why commands for it fail at present (it is being formatted), or 0. */
  unavailable: Failure = Status.success;
  /** Commands that have entered and not left. */
  users = 0;
  /** Called when the last command has left. */
  whenUnused: (() => void) | null = null;
  /** Requests are with the backend that it has not been told to start. */
  #held = false;

  /** @throws Error, one line, when the drive is smaller than a block, or what is beside it are no notes. */
  constructor(nsid: number, options: NamespaceOptions, rows: NamespaceRows, marks: UncorrectableRows) {
    const { geometry, description, identitySeed } = options.backend;
    if (geometry.sizeBytes < options.lbaBytes) {
      throw new Error(`${description}: ${geometry.sizeBytes} bytes are less than one block of ${options.lbaBytes}`);
    }
    this.nsid = nsid;
    this.backend = options.backend;
    this.lbaBytes = options.lbaBytes;
    this.lbaShift = Math.log2(options.lbaBytes);
    this.identity = options.identity ?? namespaceIdentity(identitySeed);
    this.deletable = options.deletable ?? false;
    this.notes = options.notes ?? DriveNotes.beside(options.backend);
    this.#rows = rows;
    this.uncorrectable = new UncorrectableBlocks(nsid, marks, this.notes);
  }

  /** Size, logical blocks. What is left over at the end of the drive is not shown. */
  get blocks(): number {
    return Math.floor(this.backend.geometry.sizeBytes / this.lbaBytes);
  }
  get readOnly(): boolean {
    return this.backend.geometry.readOnly;
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

  contains(slba: number, blocks: number): boolean {
    return slba + blocks <= this.blocks;
  }

  enter(): void {
    this.users++;
  }

  leave(): void {
    if (--this.users === 0 && this.whenUnused !== null) this.whenUnused();
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

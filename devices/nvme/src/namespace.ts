import type { BlockBackend, BlockRequest } from '@sidecard/block';
import type { ColumnArrays, StateArena } from '@sidecard/core';
import { type NamespaceIdentity, namespaceIdentity } from './identity.ts';

/** A drive and how it is shown. */
export interface NamespaceOptions {
  readonly backend: BlockBackend;
  /** Logical block size, bytes: 512 or 4096. */
  readonly lbaBytes: 512 | 4096;
}

/** One row per namespace, by its position. */
const namespaceColumns = {
  /** A flush has failed: what the kernel dropped is lost, and no later flush may say otherwise (storage.md, Durability). */
  flushFailed: 'u8',
} as const;

/** A namespace with the NVM command set, which is a drive. */
export class Namespace {
  readonly nsid: number;
  readonly backend: BlockBackend;
  readonly lbaBytes: number;
  /** 2 to the power of it is `lbaBytes`. */
  readonly lbaShift: number;
  readonly identity: NamespaceIdentity;
  readonly #rows: ColumnArrays<typeof namespaceColumns>;
  /** Requests are with the backend that it has not been told to start. */
  #held = false;

  constructor(nsid: number, options: NamespaceOptions, rows: ColumnArrays<typeof namespaceColumns>) {
    this.nsid = nsid;
    this.backend = options.backend;
    this.lbaBytes = options.lbaBytes;
    this.lbaShift = Math.log2(options.lbaBytes);
    this.identity = namespaceIdentity(options.backend.identitySeed);
    this.#rows = rows;
  }

  /** Size, logical blocks. What is left over at the end of the drive is not shown. */
  get blocks(): number {
    return Math.floor(this.backend.geometry.sizeBytes / this.lbaBytes);
  }
  get readOnly(): boolean {
    return this.backend.geometry.readOnly;
  }

  get flushFailed(): boolean {
    return this.#rows.flushFailed[this.nsid - 1] !== 0;
  }
  set flushFailed(failed: boolean) {
    this.#rows.flushFailed[this.nsid - 1] = failed ? 1 : 0;
  }

  contains(slba: number, blocks: number): boolean {
    return slba + blocks <= this.blocks;
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

/** @throws Error, one line, when a drive is smaller than a block. */
export function createNamespaces(drives: readonly NamespaceOptions[], state: StateArena): Namespace[] {
  const rows = state.table('nvme/namespace', namespaceColumns, drives.length);
  return drives.map((drive, index) => {
    const { sizeBytes } = drive.backend.geometry;
    if (sizeBytes < drive.lbaBytes) {
      throw new Error(`${drive.backend.description}: ${sizeBytes} bytes are less than one block of ${drive.lbaBytes}`);
    }
    return new Namespace(index + 1, drive, rows);
  });
}

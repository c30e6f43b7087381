import { constants } from 'node:os';
import type { FakeInode } from './file.ts';

const { EBUSY, EEXIST, EINVAL, ENOENT } = constants.errno;

export interface FakeMapping {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  /** Null for pinned memory. */
  readonly inode: FakeInode | null;
  /** Calls of map that share it. */
  users: number;
  inFlight: number;
  faulted: boolean;
}

/** Handles to memory, as c/mapping-table.c. */
export class MappingTable {
  readonly #mappings = new Map<number, FakeMapping>();
  readonly faultCount = new Uint32Array(1);
  #lastHandle = 0;

  /** Mappings and pins alive. */
  get count(): number {
    return this.#mappings.size;
  }

  get(handle: number): FakeMapping | undefined {
    return this.#mappings.get(handle);
  }

  handleOf(buffer: ArrayBuffer | SharedArrayBuffer): number {
    for (const [handle, mapping] of this.#mappings) if (mapping.buffer === buffer) return handle;
    return -ENOENT;
  }

  /** The bytes of a range, or undefined where C would answer -EFAULT. */
  range(handle: number, offset: number, length: number): Uint8Array | undefined {
    const buffer = this.#mappings.get(handle)?.buffer;
    if (buffer === undefined || !(offset >= 0 && length >= 0 && offset + length <= buffer.byteLength)) return undefined;
    return new Uint8Array(buffer, offset, length);
  }

  map(inode: FakeInode): ArrayBuffer {
    const handle = this.handleOf(inode.content);
    const known = this.#mappings.get(handle);
    if (known !== undefined) {
      known.users++;
      return inode.content;
    }
    this.#add(inode.content, inode);
    inode.mapped = true;
    return inode.content;
  }

  unmap(buffer: ArrayBuffer): number {
    if (buffer.detached) return 0;
    const handle = this.handleOf(buffer);
    const mapping = this.#mappings.get(handle);
    if (mapping?.inode == null) return -EINVAL;
    if (mapping.inFlight > 0) return -EBUSY;
    mapping.users--;
    if (mapping.users > 0) return 0;
    // The file keeps its bytes, and every view of the mapping becomes empty.
    mapping.inode.content = buffer.transfer();
    mapping.inode.mapped = false;
    this.#mappings.delete(handle);
    return 0;
  }

  pin(buffer: ArrayBuffer | SharedArrayBuffer): number {
    return this.handleOf(buffer) > 0 ? -EEXIST : this.#add(buffer, null);
  }

  unpin(handle: number): number {
    const mapping = this.#mappings.get(handle);
    if (mapping === undefined || mapping.inode !== null) return -EINVAL;
    if (mapping.inFlight > 0) return -EBUSY;
    this.#mappings.delete(handle);
    return 0;
  }

  /** A load cannot be trapped here, so the fault comes when the file is cut. */
  fault(buffer: ArrayBuffer): void {
    const mapping = this.#mappings.get(this.handleOf(buffer));
    if (mapping === undefined) return;
    mapping.faulted = true;
    this.faultCount[0] = this.faultCount[0]! + 1;
  }

  #add(buffer: ArrayBuffer | SharedArrayBuffer, inode: FakeInode | null): number {
    this.#lastHandle++;
    this.#mappings.set(this.#lastHandle, { buffer, inode, users: 1, inFlight: 0, faulted: false });
    return this.#lastHandle;
  }
}

import type { Ram } from '../guest-ram.ts';
import type { DataBuffer, DataDirection } from './data-buffer.ts';

export const SGL_DESCRIPTOR_BYTES = 16;

/** SGL descriptor types (NVMe Base 2.0, figure 116). */
export const SglType = { dataBlock: 0, bitBucket: 1, segment: 2, lastSegment: 3, keyed: 4, transport: 5 } as const;

export interface SglDescriptor {
  readonly type: number;
  /** 0, Address, unless given. */
  readonly subType?: number;
  readonly address?: number | bigint;
  readonly lengthBytes?: number;
}

export function encodeSgl(descriptors: readonly SglDescriptor[]): Uint8Array {
  const bytes = new Uint8Array(descriptors.length * SGL_DESCRIPTOR_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { type, subType = 0, address = 0, lengthBytes = 0 }] of descriptors.entries()) {
    view.setBigUint64(i * SGL_DESCRIPTOR_BYTES, BigInt(address), true);
    view.setUint32(i * SGL_DESCRIPTOR_BYTES + 8, lengthBytes, true);
    view.setUint8(i * SGL_DESCRIPTOR_BYTES + 15, (type << 4) | subType);
  }
  return bytes;
}

/** The fields of a command whose data is described by an SGL, of which the command has the first descriptor (SGL1). */
export function sglPointer(sgl1: SglDescriptor, psdt: 0b01 | 0b10 | 0b11 = 0b01): { flags: number; dptr: Uint8Array } {
  return { flags: psdt << 6, dptr: encodeSgl([sgl1]) };
}

/** A part of a transfer: bytes of a data block, which may be none, or bytes that go into a bit bucket. */
export type SglPart = number | { readonly bitBucket: number };

export interface SglOptions {
  /** Over and over, until all data has its place; one data block unless given. */
  readonly parts?: readonly SglPart[];
  /** Where the first data block begins in its page. */
  readonly offset?: number;
  /** Data blocks in reverse order of address, so that no two touch. */
  readonly scattered?: boolean;
  /** Descriptors of a segment, with the one that names the next: 2 or more. One last segment has all unless given. */
  readonly segmentDescriptors?: number;
  /** Bytes of a data block after the data, which nobody may touch. */
  readonly excessBytes?: number;
  /** PSDT 10b: where the metadata would be is an SGL, too. */
  readonly metadataSgl?: boolean;
}

/** A piece of the data: where it is, and where in the data. */
interface Piece {
  readonly iova: number;
  readonly from: number;
  readonly lengthBytes: number;
}

/** Data blocks of any length for `sizeBytes`, with bit buckets between them, and the segments that describe them (NVMe Base 2.0, 4.1.2). */
export class SglPieces implements DataBuffer {
  readonly sizeBytes: number;
  /** Segments and what names them aside. */
  readonly descriptors: readonly SglDescriptor[];
  readonly pointer: { readonly flags: number; readonly dptr: Uint8Array };
  readonly pieces: readonly Piece[];
  readonly #ram: Ram;
  readonly #allocated: number[] = [];

  constructor(ram: Ram, sizeBytes: number, direction: DataDirection, options: SglOptions = {}) {
    const {
      parts = [sizeBytes],
      offset = 0,
      scattered = false,
      segmentDescriptors = Infinity,
      excessBytes = 0,
    } = options;
    this.#ram = ram;
    this.sizeBytes = sizeBytes;
    const all = repeated(parts, sizeBytes, direction);
    if (excessBytes > 0) all.push(excessBytes);
    const addresses = this.#addresses(all.map(blockBytes), offset, scattered);
    this.descriptors = all.map((part, i) =>
      typeof part === 'number'
        ? { type: SglType.dataBlock, address: addresses[i]!, lengthBytes: part }
        : { type: SglType.bitBucket, lengthBytes: part.bitBucket },
    );
    let from = 0;
    this.pieces = all.flatMap((part, i) => {
      const piece = { iova: addresses[i]!, from, lengthBytes: Math.min(blockBytes(part), sizeBytes - from) };
      from += counted(part, direction);
      return piece.lengthBytes > 0 ? [piece] : [];
    });
    const sgl1 =
      this.descriptors.length === 1 ? this.descriptors[0]! : this.#segment(this.descriptors, segmentDescriptors);
    this.pointer = sglPointer(sgl1, options.metadataSgl ? 0b10 : 0b01);
  }

  store(bytes: Uint8Array): void {
    for (const { iova, from, lengthBytes } of this.pieces) {
      this.#ram.store(iova, bytes.subarray(from, from + lengthBytes));
    }
  }

  /** What went into bit buckets is zeroes. */
  load(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes);
    for (const { iova, from, lengthBytes } of this.pieces) bytes.set(this.#ram.load(iova, lengthBytes), from);
    return bytes;
  }

  free(): void {
    for (const iova of this.#allocated) this.#ram.free(iova);
  }

  #allocate(sizeBytes: number): number {
    const iova = this.#ram.allocate(sizeBytes);
    this.#allocated.push(iova);
    return iova;
  }

  /** One after the other, or from the last to the first with 3 bytes between them, which makes odd addresses. */
  #addresses(lengths: readonly number[], offset: number, scattered: boolean): number[] {
    const gap = scattered ? 3 : 0;
    let next = this.#allocate(lengths.reduce((sum, length) => sum + length + gap, offset)) + offset;
    const inOrder = scattered ? [...lengths].reverse() : lengths;
    const addresses = inOrder.map((length) => {
      const address = next;
      next += length + gap;
      return address;
    });
    return scattered ? addresses.reverse() : addresses;
  }

  /** Stores a segment, and those that it leads to; the descriptor that names it. */
  #segment(descriptors: readonly SglDescriptor[], most: number): SglDescriptor {
    const isLast = descriptors.length <= most;
    const here = isLast ? descriptors : descriptors.slice(0, most - 1);
    const rest = isLast ? [] : [this.#segment(descriptors.slice(most - 1), most)];
    const bytes = encodeSgl([...here, ...rest]);
    const address = this.#allocate(bytes.length);
    this.#ram.store(address, bytes);
    return { type: isLast ? SglType.lastSegment : SglType.segment, address, lengthBytes: bytes.length };
  }
}

function blockBytes(part: SglPart): number {
  return typeof part === 'number' ? part : 0;
}

/** How much of the data is in a part: a bit bucket has none of what the driver gives. */
function counted(part: SglPart, direction: DataDirection): number {
  if (typeof part === 'number') return part;
  return direction === 'in' ? part.bitBucket : 0;
}

/** Parts for `sizeBytes`, the last one cut. */
function repeated(parts: readonly SglPart[], sizeBytes: number, direction: DataDirection): SglPart[] {
  const all: SglPart[] = [];
  let left = sizeBytes;
  for (let i = 0; left > 0; i++) {
    const part = parts[i % parts.length]!;
    const count = Math.min(left, counted(part, direction));
    left -= count;
    if (typeof part === 'number') all.push(count);
    else all.push(direction === 'in' ? { bitBucket: count } : part);
  }
  return all;
}

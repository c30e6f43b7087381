import type { Ram } from '../guest-ram.ts';
import { PageAllocator } from '../page-allocator.ts';
import type { QtestConnection } from './qtest-connection.ts';

/** Bytes of one command: a line of text, base64. */
const PIECE_BYTES = 65536;

/** Memory of a machine in QEMU, read and written as its processor would. */
export class QtestRam implements Ram {
  readonly iova: number;
  readonly sizeBytes: number;
  readonly #connection: QtestConnection;
  readonly #pages: PageAllocator;

  constructor(connection: QtestConnection, iova: number, sizeBytes: number) {
    this.#connection = connection;
    this.iova = iova;
    this.sizeBytes = sizeBytes;
    this.#pages = new PageAllocator(iova, sizeBytes);
  }

  allocate(sizeBytes: number, alignmentBytes?: number): number {
    const iova = this.#pages.allocate(sizeBytes, alignmentBytes);
    this.#connection.command(`memset ${hex(iova)} ${hex(Math.ceil(sizeBytes / 4096) * 4096)} 0x0`);
    return iova;
  }

  free(iova: number): void {
    this.#pages.free(iova);
  }

  load(iova: number, lengthBytes: number): Uint8Array {
    this.#check(iova, lengthBytes);
    const bytes = new Uint8Array(lengthBytes);
    for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, lengthBytes - at);
      bytes.set(Buffer.from(this.#connection.command(`b64read ${hex(iova + at)} ${hex(count)}`), 'base64'), at);
    }
    return bytes;
  }

  store(iova: number, bytes: Uint8Array): void {
    this.#check(iova, bytes.length);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const text = Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('base64');
      this.#connection.command(`b64write ${hex(iova + at)} ${hex(piece.length)} ${text}`);
    }
  }

  word(iova: number): number {
    this.#check(iova, 4);
    return this.#connection.number(`readl ${hex(iova)}`);
  }

  setWord(iova: number, value: number): void {
    this.#check(iova, 4);
    this.#connection.command(`writel ${hex(iova)} ${hex(value >>> 0)}`);
  }

  /** Below is what firmware would have. Beyond there are holes and devices, whose answers look like memory. */
  #check(iova: number, lengthBytes: number): void {
    if (!(iova >= 0 && iova + lengthBytes <= this.iova + this.sizeBytes))
      throw new RangeError(`no guest memory at ${hex(iova)}`);
  }
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

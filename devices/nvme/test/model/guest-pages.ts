import type { GuestRam } from '@sidecard/testing';
import { hex, must } from './violation.ts';

export const PAGE = 4096;

/** Memory that the device may write now. */
export interface Opened {
  readonly iova: number;
  readonly lengthBytes: number;
}

/**
 * Guest memory with a canary in every byte that the device has no business with: pages that are free, everything that the device only reads, and
 * what is left of a page beside the data. A second copy tells what each byte is to be.
 */
export class GuestPages {
  readonly ram: GuestRam;
  readonly #expected: Uint8Array;
  readonly #free: number[] = [];
  readonly #open = new Set<Opened>();
  readonly random: () => number;
  #fill = 0;

  /** Takes all of `ram` that is left but for `spareBytes`. */
  constructor(ram: GuestRam, spareBytes: number, random: () => number) {
    this.ram = ram;
    this.random = random;
    this.#expected = new Uint8Array(ram.sizeBytes);
    const sizeBytes = ram.sizeBytes - spareBytes;
    const first = ram.allocate(sizeBytes);
    for (let at = 0; at < sizeBytes; at += PAGE) this.give(first + at);
    this.sync();
  }

  get free(): number {
    return this.#free.length;
  }

  /** A page anywhere. Null: there is none left. */
  take(): number | null {
    if (this.#free.length === 0) return null;
    const index = Math.floor(this.random() * this.#free.length);
    const last = this.#free.pop()!;
    if (index === this.#free.length) return last;
    const page = this.#free[index]!;
    this.#free[index] = last;
    return page;
  }

  /** Pages in a row, for queues. */
  takeRow(count: number): number | null {
    if (count === 1) return this.take();
    this.#free.sort((a, b) => a - b);
    const at = this.#free.findIndex((page, index) => this.#free[index + count - 1] === page + (count - 1) * PAGE);
    return at < 0 ? null : this.#free.splice(at, count)[0]!;
  }

  give(page: number): void {
    this.#free.push(page);
    this.#fill = (this.#fill % 251) + 1;
    const at = page - this.ram.iova;
    this.ram.buffer.bytes.fill(this.#fill, at, at + PAGE);
    this.#expected.fill(this.#fill, at, at + PAGE);
  }

  /** The driver writes. */
  store(iova: number, bytes: Uint8Array): void {
    this.ram.store(iova, bytes);
    this.#expected.set(bytes, iova - this.ram.iova);
  }

  setWord(iova: number, value: number): void {
    this.store(iova, new Uint8Array(Uint32Array.of(value).buffer));
  }

  word(iova: number): number {
    return this.ram.word(iova);
  }

  /** The device may write here from now on. */
  open(iova: number, lengthBytes: number): Opened {
    const opened = { iova, lengthBytes };
    this.#open.add(opened);
    return opened;
  }

  /** And not any more: what is there stays. */
  close(opened: Opened): void {
    this.#copy(opened);
    this.#open.delete(opened);
  }

  /** Takes all memory as it is, after others of the driver's side have written. */
  sync(): void {
    this.#expected.set(this.ram.buffer.bytes);
  }

  check(what: string): void {
    for (const opened of this.#open) this.#copy(opened);
    const { bytes } = this.ram.buffer;
    if (Buffer.compare(bytes, this.#expected) === 0) return;
    const at = bytes.findIndex((byte, index) => byte !== this.#expected[index]);
    must(
      false,
      () => `${what}: the device has written guest memory at ${hex(this.ram.iova + at)}, which is not its to write`,
    );
  }

  #copy({ iova, lengthBytes }: Opened): void {
    const at = iova - this.ram.iova;
    this.#expected.set(this.ram.buffer.bytes.subarray(at, at + lengthBytes), at);
  }
}

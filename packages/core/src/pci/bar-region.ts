import type { Accessible } from '../bits/accessible.ts';
import type { Bar, BarWindow, MappableMemory } from './bar.ts';

const pageBytes = 4096;

/** The contents of a BAR: accesses of any size are cut at the edges of its windows. */
export class BarRegion implements Accessible {
  readonly sizeBytes: number;
  readonly windows: readonly BarWindow[];

  /** @throws when windows overlap, do not fit, are empty, or are mappable and not of whole pages. */
  constructor(name: string, bar: Bar, added: readonly BarWindow[] = []) {
    this.sizeBytes = bar.sizeBytes;
    this.windows = [...bar.windows, ...added].sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const window of this.windows) {
      const where = `${name}: the window at 0x${window.offset.toString(16)}`;
      if (window.offset < end) throw new Error(`${where} overlaps the one before it`);
      end = window.offset + window.sizeBytes;
      if (!(window.sizeBytes > 0) || end > this.sizeBytes) throw new Error(`${where} does not fit`);
      if (!window.registers && !window.memory) throw new Error(`${where} has neither registers nor memory`);
      if (window.memory) checkMemory(where, window, window.memory);
    }
    checkMappings(name, this.windows);
  }

  read(offset: number, target: Uint8Array, targetOffset: number, lengthBytes: number): void {
    const end = offset + lengthBytes;
    let at = offset;
    while (at < end) {
      const window = this.#windowFrom(at);
      const start = window === null ? end : Math.min(Math.max(window.offset, at), end);
      if (at < start) target.fill(0, targetOffset + at - offset, targetOffset + start - offset);
      at = start;
      if (at === end) return;
      const stop = Math.min(window!.offset + window!.sizeBytes, end);
      readWindow(window!, at - window!.offset, target, targetOffset + at - offset, stop - at);
      at = stop;
    }
  }

  write(offset: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): void {
    const end = offset + lengthBytes;
    let at = offset;
    while (at < end) {
      const window = this.#windowFrom(at);
      if (window === null || window.offset >= end) return;
      at = Math.max(window.offset, at);
      const stop = Math.min(window.offset + window.sizeBytes, end);
      writeWindow(window, at - window.offset, source, sourceOffset + at - offset, stop - at);
      at = stop;
    }
  }

  /** The first window that ends after `at`: a BAR has a handful. */
  #windowFrom(at: number): BarWindow | null {
    const windows = this.windows;
    for (let i = 0; i < windows.length; i++) {
      const window = windows[i]!;
      if (at < window.offset + window.sizeBytes) return window;
    }
    return null;
  }
}

/** How much of an access the registers of a window answer; what is left of the window reads zero. */
function covered(window: BarWindow, offset: number, lengthBytes: number): number {
  return Math.max(0, Math.min(lengthBytes, window.registers!.sizeBytes - offset));
}

function readWindow(window: BarWindow, offset: number, target: Uint8Array, at: number, lengthBytes: number): void {
  if (window.registers) {
    const answered = covered(window, offset, lengthBytes);
    if (answered > 0) window.registers.read(offset, target, at, answered);
    if (answered < lengthBytes) target.fill(0, at + answered, at + lengthBytes);
    return;
  }
  const { bytes, view } = window.memory!.memory;
  if (lengthBytes === 4 && offset % 4 === 0) {
    // One load: the other side may be storing the word.
    const word = view.getUint32(offset, true);
    for (let i = 0; i < 4; i++) target[at + i] = word >>> (8 * i);
  } else for (let i = 0; i < lengthBytes; i++) target[at + i] = bytes[offset + i]!;
}

function writeWindow(window: BarWindow, offset: number, source: Uint8Array, at: number, lengthBytes: number): void {
  if (window.registers) {
    const answered = covered(window, offset, lengthBytes);
    if (answered > 0) window.registers.write(offset, source, at, answered);
    return;
  }
  const { bytes, words, journal, byteOffset } = window.memory!.memory;
  if (journal?.open) journal.touch(byteOffset + offset, lengthBytes);
  if (lengthBytes === 4 && offset % 4 === 0 && words.length > 0) {
    // One store: a doorbell that is polled must not be seen half written.
    words[offset >>> 2] = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
  } else for (let i = 0; i < lengthBytes; i++) bytes[offset + i] = source[at + i]!;
}

function checkMemory(where: string, window: BarWindow, { memory, fdOffset }: MappableMemory): void {
  if (memory.lengthBytes < window.sizeBytes) throw new Error(`${where} is larger than its memory`);
  for (const value of [window.offset, window.sizeBytes, fdOffset]) {
    if (value % pageBytes !== 0) throw new Error(`${where} is mappable, but not of whole pages`);
  }
}

/** A region has one fd and one offset for all of its mappable areas (GET_REGION_INFO). */
function checkMappings(name: string, windows: readonly BarWindow[]): void {
  const mappable = windows.filter((window) => window.memory !== undefined);
  for (const { offset, memory } of mappable) {
    const first = mappable[0]!;
    const shift = first.memory!.fdOffset - first.offset;
    if (memory!.fd !== first.memory!.fd || memory!.fdOffset - offset !== shift) {
      throw new Error(`${name}: mappable windows must be at the same places of one fd`);
    }
  }
}

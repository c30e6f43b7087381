import type { Journal } from '../bits/journal.ts';

/** Stores by DataView may be byte by byte, so marks are words stored through Atomics (state.md, Turns are transactions). */
const entryHeaderBytes = 8;

/**
 * The undo log of an arena: before-images of what the open turn stores over. Its mark, the bytes in use, is one word:
 * an image counts once the mark is past it, and the turn is committed, or undone, when the mark is 0 again.
 */
export class UndoLog implements Journal {
  open = false;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #mark: number;
  readonly #startWord: number;
  readonly #sizeBytes: number;
  #usedBytes = 0;
  #lastOffset = -1;
  #lastEnd = -1;

  /** @param mark index of the word that holds the bytes in use. */
  constructor(buffer: ArrayBuffer, mark: number, startBytes: number, sizeBytes: number) {
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
    this.#mark = mark;
    this.#startWord = startBytes / 4;
    this.#sizeBytes = sizeBytes;
  }

  begin(): void {
    this.open = true;
    this.#usedBytes = 0;
    this.#lastEnd = -1;
    this.#lastOffset = -1;
  }

  touch(byteOffset: number, lengthBytes: number): void {
    // The commonest repetition: the same register again. A second image would be harmless, undone before the first.
    if (byteOffset >= this.#lastOffset && byteOffset + lengthBytes <= this.#lastEnd) return;
    const used = this.#usedBytes;
    const next = used + entryHeaderBytes + ((lengthBytes + 3) & ~3);
    if (next > this.#sizeBytes) throw new Error(`a turn overflows its undo log of ${this.#sizeBytes} bytes`);
    const word = this.#startWord + used / 4;
    this.#words[word] = byteOffset;
    this.#words[word + 1] = lengthBytes;
    const at = word * 4 + entryHeaderBytes;
    const bytes = this.#bytes;
    if (lengthBytes <= 64) for (let i = 0; i < lengthBytes; i++) bytes[at + i] = bytes[byteOffset + i]!;
    else bytes.copyWithin(at, byteOffset, byteOffset + lengthBytes);
    this.#usedBytes = next;
    this.#lastOffset = byteOffset;
    this.#lastEnd = byteOffset + lengthBytes;
    Atomics.store(this.#words, this.#mark, next);
  }

  commit(): void {
    this.open = false;
    if (this.#usedBytes !== 0) Atomics.store(this.#words, this.#mark, 0);
  }

  /** Undoes an open turn, of this process or of one that died; true when there was something to undo. May itself be killed and run again. */
  undo(): boolean {
    this.open = false;
    const used = Atomics.load(this.#words, this.#mark);
    if (used === 0) return false;
    const starts: number[] = [];
    for (let at = 0; at < used; ) {
      starts.push(at);
      const length = this.#words[this.#startWord + at / 4 + 1]!;
      at += entryHeaderBytes + ((length + 3) & ~3);
    }
    for (const start of starts.reverse()) {
      const word = this.#startWord + start / 4;
      const from = word * 4 + entryHeaderBytes;
      this.#bytes.copyWithin(this.#words[word]!, from, from + this.#words[word + 1]!);
    }
    Atomics.store(this.#words, this.#mark, 0);
    return true;
  }
}

/** What is at one place of an arena, for people, tools and successors. */
export interface DirectoryEntry {
  /** A path: 'nvme/cq/3'. */
  readonly name: string;
  readonly kind: 'bytes' | 'registers' | 'records' | 'table';
  readonly offset: number;
  readonly sizeBytes: number;
  /** The declaration as data. */
  readonly layout: unknown;
}

/**
 * The layout of an arena, in the arena: a line of JSON for each entry, appended, and one word that says how long it is.
 * Entries are never removed, so that one store publishes one.
 */
export class Directory {
  readonly #text: Uint8Array;
  readonly #words: Int32Array;
  readonly #mark: number;
  readonly #entries = new Map<string, DirectoryEntry>();
  #endBytes: number;

  /** @param mark index of the word that holds the text's length; @param firstOffset where the first entry's bytes are. */
  constructor(buffer: ArrayBuffer, mark: number, startBytes: number, sizeBytes: number, firstOffset: number) {
    this.#text = new Uint8Array(buffer, startBytes, sizeBytes);
    this.#words = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
    this.#mark = mark;
    this.#endBytes = firstOffset;
    const text = new TextDecoder().decode(this.#text.slice(0, Atomics.load(this.#words, mark)));
    for (const line of text.split('\n')) if (line !== '') this.#remember(JSON.parse(line));
  }

  /** Where the bytes of the next entry go. */
  get endBytes(): number {
    return this.#endBytes;
  }

  get entries(): IterableIterator<DirectoryEntry> {
    return this.#entries.values();
  }

  find(name: string): DirectoryEntry | undefined {
    return this.#entries.get(name);
  }

  add(entry: DirectoryEntry): void {
    const line = new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
    const used = Atomics.load(this.#words, this.#mark);
    if (used + line.length > this.#text.length) throw new Error(`the arena's directory is full at ${entry.name}`);
    this.#text.set(line, used);
    Atomics.store(this.#words, this.#mark, used + line.length);
    this.#remember(entry);
  }

  #remember(entry: DirectoryEntry): void {
    this.#entries.set(entry.name, entry);
    this.#endBytes = entry.offset + entry.sizeBytes;
  }
}

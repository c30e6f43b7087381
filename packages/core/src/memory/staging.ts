import { HostBuffer } from '../bits/host-buffer.ts';
import type { MemoryNative } from './memory-native.ts';

export const PAGE = 4096;
const ARENA_PAGES = 2048;
const ARENA_BYTES = ARENA_PAGES * PAGE;

interface Arena {
  readonly memory: HostBuffer;
  readonly handle: number;
  /** 1 for each page in use. */
  readonly used: Uint8Array;
}

/** The longest run. */
export const MAX_RUN_BYTES = ARENA_BYTES;
/** Room for bytes that nobody wants, at a time. */
export const SINK_BYTES = 64 * 1024;

/** What a run of `lengthBytes` leaves of its last page. */
export function pageRest(lengthBytes: number): number {
  return Math.ceil(lengthBytes / PAGE) * PAGE - lengthBytes;
}

/**
 * Memory for data on its way to or from guest memory that is not mapped: runs of pages, in arenas that the native side knows, so that
 * backends read and write them as they do guest memory. Arenas are made when needed, up to a limit, and kept until the client goes.
 */
export class Staging {
  readonly #native: MemoryNative;
  readonly #maxArenas: number;
  readonly #arenas: Arena[] = [];
  /** Where the last run ended: runs taken one after another touch, and are one message then. */
  #arena = 0;
  #page = 0;
  usedBytes = 0;
  /** The run where all put what nobody wants, while somebody holds it; -1: there is none. */
  sink = -1;
  #sinkHolders = 0;
  /** Nobody will need what is free. */
  #retired = false;

  constructor(native: MemoryNative, limitBytes: number) {
    this.#native = native;
    this.#maxArenas = Math.max(1, Math.floor(limitBytes / ARENA_BYTES));
  }

  /** A run for `lengthBytes`: the number of its first page, or -1 when the limit is reached. */
  take(lengthBytes: number): number {
    this.#retired = false;
    const pages = Math.ceil(lengthBytes / PAGE);
    for (let tried = 0; tried <= this.#arenas.length; tried++) {
      const index = (this.#arena + tried) % Math.max(1, this.#arenas.length);
      const arena = this.#arenas[index];
      const first = arena === undefined ? -1 : findRun(arena.used, tried === 0 ? this.#page : 0, pages);
      if (first >= 0) return this.#use(index, first, pages);
    }
    if (this.#arenas.length === this.#maxArenas) return -1;
    const arena = createArena(this.#native);
    if (arena === null) return -1;
    this.#arenas.push(arena);
    return this.#use(this.#arenas.length - 1, 0, pages);
  }

  give(run: number, lengthBytes: number): void {
    const pages = Math.ceil(lengthBytes / PAGE);
    const first = run % ARENA_PAGES;
    this.#arenas[Math.floor(run / ARENA_PAGES)]!.used.fill(0, first, first + pages);
    this.usedBytes -= pages * PAGE;
    if (this.#retired) this.#shrink();
  }

  /** False when there is no memory for it. */
  holdSink(): boolean {
    if (this.#sinkHolders === 0) this.sink = this.take(SINK_BYTES);
    if (this.sink < 0) return false;
    this.#sinkHolders++;
    return true;
  }

  letGoOfSink(): void {
    if (--this.#sinkHolders > 0) return;
    this.give(this.sink, SINK_BYTES);
    this.sink = -1;
  }

  /** The client that needed it has gone: what is free goes back to the system now, and the rest when it is free. */
  retire(): void {
    this.#retired = true;
    this.#shrink();
  }

  memory(run: number): HostBuffer {
    return this.#arenas[Math.floor(run / ARENA_PAGES)]!.memory;
  }

  handle(run: number): number {
    return this.#arenas[Math.floor(run / ARENA_PAGES)]!.handle;
  }

  offset(run: number): number {
    return (run % ARENA_PAGES) * PAGE;
  }

  #shrink(): void {
    if (this.usedBytes > 0) return;
    for (const { memory } of this.#arenas.splice(0)) this.#native.unmap(memory.buffer);
    this.#arena = 0;
    this.#page = 0;
  }

  #use(index: number, first: number, pages: number): number {
    this.#arenas[index]!.used.fill(1, first, first + pages);
    this.#arena = index;
    this.#page = first + pages;
    this.usedBytes += pages * PAGE;
    return index * ARENA_PAGES + first;
  }
}

/** A memory file, since drives that go past the page cache (O_DIRECT) want pages, and an ArrayBuffer begins anywhere. Null when there is no memory. */
function createArena(native: MemoryNative): Arena | null {
  const fd = native.memfd('sidecard staging', ARENA_BYTES);
  const mapped = native.map(fd, 0, ARENA_BYTES, true);
  native.close(fd);
  if (typeof mapped === 'number') return null;
  return { memory: new HostBuffer(mapped), handle: native.mapping(mapped), used: new Uint8Array(ARENA_PAGES) };
}

/** First of `pages` free pages in a row, at or after `from`; -1 when there are none. */
function findRun(used: Uint8Array, from: number, pages: number): number {
  let free = 0;
  for (let page = from; page < used.length; page++) {
    free = used[page] === 0 ? free + 1 : 0;
    if (free === pages) return page - pages + 1;
  }
  return -1;
}

import type { HostBuffer } from '../bits/host-buffer.ts';
import type { Segments } from './segments.ts';

/**
 * How an access to guest memory went. `pending`: it is under way as messages to the client; the task is resumed when it
 * has ended, and the same call made again then answers `done` or `fault`. `fault`: no memory there, not permitted, bus
 * mastering off, or the memory is gone; nothing or only a part was transferred.
 */
export type DmaResult = 'done' | 'pending' | 'fault';

/**
 * A resumable piece of work that accesses guest memory, one access at a time. Pooled: a command's whole state is its
 * record. `resume` is called, never from inside the call that answered `pending`, once the access has ended; it enters
 * the same step again.
 */
export abstract class DmaTask {
  /** The access under way; belongs to GuestMemory. 0 is none. */
  dmaToken = 0;
  /** How the access ended, until the step asks again; belongs to GuestMemory. */
  dmaEnded: 'done' | 'fault' | null = null;
  abstract resume(): void;
}

/** The memory of the guest, as a device's DMA sees it: the same whether it is mapped, a file or only messages. */
export interface GuestMemory {
  /** Copies `lengthBytes` at guest address `iova` into `target` at `targetOffset`. */
  load(task: DmaTask, iova: number, target: HostBuffer, targetOffset: number, lengthBytes: number): DmaResult;
  /** The same, with the address in two words, the low one first, as descriptors have it: a large number that is handed on is an object. */
  loadAt(
    task: DmaTask,
    words: Int32Array,
    at: number,
    target: HostBuffer,
    targetOffset: number,
    lengthBytes: number,
  ): DmaResult;
  /** Copies `lengthBytes` of `source` at `sourceOffset` to guest address `iova`. */
  store(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult;
  /**
   * As `store`, of `lengthBytes` that are a multiple of 4 and aligned, whose last 32-bit word publishes the others: the
   * words before it are visible to the guest first (Atomics.store). Used for completion queue entries and ring indexes.
   */
  publish(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult;
  /**
   * The 32-bit word at `iova` as the guest last published it (an atomic load), or -1 where it isn't mapped; for words
   * that are polled and never exceed 31 bits (shadow doorbells, ring indexes).
   */
  peekWord(iova: number): number;
  /** Stores a 32-bit word with sequential consistency where it is mapped; false where it isn't. */
  pokeWord(iova: number, value: number): boolean;
  /** True while every map of guest memory known is mapped into this process, so that peekWord and pokeWord work. */
  readonly mapped: boolean;
  /** Counts maps and unmaps: what was worked out about an address holds while this stays the same. */
  readonly generation: number;
  /** A pooled list of guest memory for up to `maxSegments` pieces. For set-up, not per command. */
  scatterList(maxSegments: number): ScatterList;
}

/** From the device's view: `toDevice` is read from the guest (a disk write), `toGuest` is written to it. */
export type DmaDirection = 'toDevice' | 'toGuest';

/**
 * The data of one command: guest memory on one side, memory of this process on the other. Mapped memory is its own
 * other side; other memory gets staging buffers, filled by `fetch` and emptied by `flush`.
 */
export interface ScatterList {
  /** Starts anew. */
  begin(direction: DmaDirection): void;
  /**
   * Adds guest memory. False when it is not there, not permitted in that direction, the list is full (a map with more pieces
   * than maxSegments), or the memory for data on its way in messages is used up. What was added stays pinned (an unmap waits for it) until `release`.
   */
  add(iova: number, lengthBytes: number): boolean;
  /** The same, as `loadAt` has the address. */
  addAt(words: Int32Array, at: number, lengthBytes: number): boolean;
  /** Adds memory of this process, for this list alone; zeroes at first. False as for `add`. */
  addBuffer(lengthBytes: number): boolean;
  /** Adds room for bytes that nobody wants (an SGL bit bucket): lists share it, so it takes next to no memory and is for `toGuest` only. */
  addSink(lengthBytes: number): boolean;
  /** Sum of what was added, bytes. */
  readonly lengthBytes: number;
  /** Where a backend reads and writes it. */
  readonly segments: Segments;
  /** toDevice: brings the bytes here before they are used. Mapped memory: done at once. */
  fetch(task: DmaTask): DmaResult;
  /** toGuest: hands the bytes over after they were made. Mapped memory: done at once. */
  flush(task: DmaTask): DmaResult;
  /**
   * Lets the memory go. Always called once per `begin`, also after a fault or a reset. A fetch or flush under way is given up
   * and its task not resumed.
   */
  release(): void;
}

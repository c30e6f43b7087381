import type { HostBuffer } from '../bits/host-buffer.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import { AddressSpace } from './address-space.ts';
import { ClientScatterList, type ScatterListParts } from './client-scatter-list.ts';
import { copyBytes } from './copy.ts';
import type { DmaChannel } from './dma-channel.ts';
import type { DmaRegion } from './dma-region.ts';
import { READABLE, WRITABLE } from './dma-table.ts';
import type { DmaResult, DmaTask, GuestMemory, ScatterList } from './guest-memory.ts';
import type { MemoryNative } from './memory-native.ts';
import type { Place } from './place.ts';
import { Staging } from './staging.ts';
import { Transfer } from './transfer.ts';
import { Transfers } from './transfers.ts';

export interface ClientMemoryOptions {
  readonly native: MemoryNative;
  /** As offered to the client (max_dma_maps). */
  readonly maxMaps?: number;
  /** Most memory that data on its way to or from unmapped guest memory may take, bytes. */
  readonly stagingLimitBytes?: number;
}

const MAX_MAPS = 65_535;
const STAGING_LIMIT_BYTES = 256 * 1024 * 1024;

/**
 * The guest's memory as a client's DMA_MAPs describe it: mapped files, files that can't be mapped, and memory behind
 * messages. The session maps and unmaps and hands over answers to messages; the reactor polls it: tasks are resumed and
 * drained unmaps reported from `poll` alone.
 *
 * Each access has a place of its own where its last hit is kept: queues, rings and data are different memory.
 */
export class ClientMemory implements GuestMemory, PollSource {
  readonly #space: AddressSpace;
  readonly #transfers: Transfers;
  readonly #lists: ScatterListParts;
  readonly #loads: Place;
  readonly #stores: Place;
  readonly #publishes: Place;
  readonly #peeks: Place;
  readonly #pokes: Place;
  readonly #pool: Transfer[] = [];

  constructor(options: ClientMemoryOptions) {
    const space = new AddressSpace(options.native, options.maxMaps ?? MAX_MAPS);
    this.#space = space;
    this.#transfers = new Transfers(space);
    this.#transfers.onEnded = (transfer) => this.#recycle(transfer);
    const staging = new Staging(options.native, options.stagingLimitBytes ?? STAGING_LIMIT_BYTES);
    this.#lists = { space, transfers: this.#transfers, staging, reads: space.place(), writes: space.place() };
    this.#loads = space.place();
    this.#stores = space.place();
    this.#publishes = space.place();
    this.#peeks = space.place();
    this.#pokes = space.place();
  }

  /** Bus-master enable of the function; false and all DMA faults. */
  get busMaster(): boolean {
    return this.#space.busMaster;
  }

  set busMaster(on: boolean) {
    this.#space.busMaster = on;
  }

  /** Told from `poll` when an unmap that answered `draining` has ended. */
  set onDrained(told: ((iova: number, sizeBytes: number) => void) | null) {
    this.#space.onDrained = told;
  }

  get mapped(): boolean {
    return this.#space.mapped;
  }

  get generation(): number {
    return this.#space.generation;
  }

  /** Unmapped regions that I/O in flight still holds, or that `poll` has yet to report. */
  get draining(): number {
    return this.#space.table.draining;
  }

  /** Maps in the table. */
  get count(): number {
    return this.#space.table.count;
  }

  /** Files of the client that are open here. */
  get fileCount(): number {
    return this.#space.files.count;
  }

  /** Who sends DMA_READ and DMA_WRITE for this client. */
  connect(channel: DmaChannel): void {
    this.#transfers.channel = channel;
  }

  /** 0 or a positive errno: EINVAL (zero size, alignment, overflow, no access, beyond the file), EEXIST (overlap), ENOSPC (table full), EACCES. */
  map(map: DmaRegion): number {
    return this.#space.map(map);
  }

  /** Exactly a region of the table: 'done', or 'draining' until `onDrained`; else ENOENT, or EINVAL for a part of one. */
  unmap(iova: number, sizeBytes: number): 'done' | 'draining' | number {
    return this.#space.unmap(iova, sizeBytes);
  }

  unmapAll(): 'done' | 'draining' {
    return this.#space.unmapAll(true);
  }

  /** The client has gone: as `unmapAll` and `dmaCancelled`, and nobody is told of what drains. */
  disconnect(): void {
    this.#transfers.channel = null;
    this.#transfers.cancel();
    this.#space.unmapAll(false);
    this.#lists.staging.retire();
  }

  /** The answer to a message: `errno` 0, and for a read the bytes. Late ones are dropped. */
  dmaReplied(token: number, errno: number, source: Uint8Array, offset: number, lengthBytes: number): void {
    this.#transfers.replied(token, errno, source, offset, lengthBytes);
  }

  /** Ends every access under way with `fault`; answers that still come are dropped. */
  dmaCancelled(): void {
    this.#transfers.cancel();
  }

  load(task: DmaTask, iova: number, target: HostBuffer, targetOffset: number, lengthBytes: number): DmaResult {
    const place = this.#loads;
    if (!(iova >= place.start && iova + lengthBytes <= place.end)) {
      this.#space.locate(iova, READABLE, place);
    }
    if (iova + lengthBytes <= place.end && task.dmaEnded === null) {
      copyBytes(place.window, (place.base + (iova - place.start)) | 0, target, targetOffset, lengthBytes);
      return this.#space.faulted(place.row) ? 'fault' : 'done';
    }
    return this.#transfer(task, iova, target, targetOffset, lengthBytes, false, false);
  }

  loadAt(
    task: DmaTask,
    words: Int32Array,
    at: number,
    target: HostBuffer,
    targetOffset: number,
    lengthBytes: number,
  ): DmaResult {
    const iova = (words[at]! >>> 0) + (words[at + 1]! >>> 0) * 0x1_0000_0000;
    const place = this.#loads;
    // Almost always in the mapping where the last one was.
    if (iova >= place.start && iova + lengthBytes <= place.end && task.dmaEnded === null) {
      copyBytes(place.window, (place.base + (iova - place.start)) | 0, target, targetOffset, lengthBytes);
      return this.#space.faulted(place.row) ? 'fault' : 'done';
    }
    return this.load(task, iova, target, targetOffset, lengthBytes);
  }

  store(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult {
    const place = this.#stores;
    if (!(iova >= place.start && iova + lengthBytes <= place.end)) {
      this.#space.locate(iova, WRITABLE, place);
    }
    if (iova + lengthBytes <= place.end && task.dmaEnded === null) {
      copyBytes(source, sourceOffset, place.window, (place.base + (iova - place.start)) | 0, lengthBytes);
      return this.#space.faulted(place.row) ? 'fault' : 'done';
    }
    return this.#transfer(task, iova, source, sourceOffset, lengthBytes, true, false);
  }

  publish(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult {
    const place = this.#publishes;
    if (!(iova >= place.start && iova + lengthBytes <= place.end)) {
      this.#space.locate(iova, WRITABLE, place);
    }
    if (iova + lengthBytes <= place.end && task.dmaEnded === null) {
      const at = (place.base + (iova - place.start)) >> 2;
      const last = (lengthBytes >> 2) - 1;
      const from = source.words;
      const first = sourceOffset >> 2;
      const words = place.window.words;
      for (let i = 0; i < last; i++) words[at + i] = from[first + i]!;
      Atomics.store(words, at + last, from[first + last]!);
      return this.#space.faulted(place.row) ? 'fault' : 'done';
    }
    return this.#transfer(task, iova, source, sourceOffset, lengthBytes, true, true);
  }

  peekWord(iova: number): number {
    const place = this.#peeks;
    if (!(iova >= place.start && iova + 4 <= place.end)) this.#space.locate(iova, READABLE, place);
    if (!(iova + 4 <= place.end)) return -1;
    const word = Atomics.load(place.window.words, (place.base + (iova - place.start)) >> 2) >>> 0;
    return this.#space.faulted(place.row) ? -1 : word;
  }

  pokeWord(iova: number, value: number): boolean {
    const place = this.#pokes;
    if (!(iova >= place.start && iova + 4 <= place.end)) this.#space.locate(iova, WRITABLE, place);
    if (!(iova + 4 <= place.end)) return false;
    Atomics.store(place.window.words, (place.base + (iova - place.start)) >> 2, value);
    return !this.#space.faulted(place.row);
  }

  scatterList(maxSegments: number): ScatterList {
    return new ClientScatterList(this.#lists, maxSegments);
  }

  poll(): boolean {
    const drained = this.#space.poll();
    return this.#transfers.poll() || drained;
  }

  arm(): boolean {
    return this.#space.idle && this.#transfers.idle;
  }

  /** What is not in one stretch of mapped memory. */
  #transfer(
    task: DmaTask,
    iova: number,
    area: HostBuffer,
    areaOffset: number,
    lengthBytes: number,
    toGuest: boolean,
    publishes: boolean,
  ): DmaResult {
    const ended = task.dmaEnded;
    task.dmaEnded = null;
    if (ended !== null) return ended;
    if (lengthBytes === 0) return 'done';
    if (!this.#space.covers(iova, lengthBytes, toGuest ? WRITABLE : READABLE)) return 'fault';
    const transfer = this.#pool.pop() ?? new Transfer(1, true);
    transfer.add(iova, area, areaOffset, lengthBytes);
    transfer.begin(task, toGuest, publishes);
    const result = this.#transfers.start(transfer);
    if (result !== 'pending') this.#recycle(transfer);
    return result;
  }

  #recycle(transfer: Transfer): void {
    if (!transfer.pooled) return;
    transfer.clear();
    this.#pool.push(transfer);
  }
}

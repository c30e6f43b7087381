import type { AddressSpace } from './address-space.ts';
import { READABLE, WRITABLE } from './dma-table.ts';
import type { DmaDirection, DmaResult, DmaTask, ScatterList } from './guest-memory.ts';
import type { Place } from './place.ts';
import { Segments } from './segments.ts';
import { MAX_RUN_BYTES, PAGE, pageRest, SINK_BYTES, type Staging } from './staging.ts';
import { Transfer } from './transfer.ts';
import type { Transfers } from './transfers.ts';

/** What scatter lists of one memory share. */
export interface ScatterListParts {
  readonly space: AddressSpace;
  readonly transfers: Transfers;
  readonly staging: Staging;
  /** Last hits of all lists: to be read from the guest, to be written to it. */
  readonly reads: Place;
  readonly writes: Place;
}

/** A scatter list over a client's memory: mapped pieces in place and pinned, others in staging runs. */
export class ClientScatterList implements ScatterList {
  readonly segments: Segments;
  #direction: DmaDirection = 'toDevice';
  readonly #parts: ScatterListParts;
  /** Pieces that are staged. */
  readonly #staged: Transfer;
  /** Pinned rows of the DMA table, once per run of pieces in it. */
  readonly #rows: Int32Array;
  #rowCount = 0;
  readonly #runs: Float64Array;
  readonly #runBytes: Float64Array;
  #runCount = 0;
  #holdsSink = false;

  constructor(parts: ScatterListParts, maxSegments: number) {
    this.#parts = parts;
    this.segments = new Segments(maxSegments);
    this.#staged = new Transfer(maxSegments);
    this.#rows = new Int32Array(maxSegments);
    this.#runs = new Float64Array(maxSegments);
    this.#runBytes = new Float64Array(maxSegments);
  }

  get lengthBytes(): number {
    return this.segments.lengthBytes;
  }

  begin(direction: DmaDirection): void {
    this.#direction = direction;
    this.segments.clear();
  }

  add(iova: number, lengthBytes: number): boolean {
    const toGuest = this.#direction === 'toGuest';
    const place = toGuest ? this.#parts.writes : this.#parts.reads;
    let at = iova;
    let left = lengthBytes;
    while (left > 0) {
      if (!(at >= place.start && at < place.end)) {
        this.#parts.space.locate(at, toGuest ? WRITABLE : READABLE, place);
        if (place.kind === 'absent') return false;
      }
      const count = Math.min(left, place.limit - at);
      if (place.kind === 'mapped') {
        if (!this.#pin(place.row)) return false;
        if (!this.segments.add(place.window, place.handle, place.base + (at - place.start), count)) return false;
        at += count;
        left -= count;
      } else {
        if (!this.#stage(count, at)) return false;
        at += count;
        left -= count;
      }
    }
    return true;
  }

  addAt(words: Int32Array, at: number, lengthBytes: number): boolean {
    const iova = (words[at]! >>> 0) + (words[at + 1]! >>> 0) * 0x1_0000_0000;
    const place = this.#direction === 'toGuest' ? this.#parts.writes : this.#parts.reads;
    // Almost always in the mapping where the last one was.
    if (!(iova >= place.start && iova + lengthBytes <= place.end)) return this.add(iova, lengthBytes);
    const offset = (place.base + (iova - place.start)) | 0;
    return this.#pin(place.row) && this.segments.add(place.window, place.handle, offset, lengthBytes);
  }

  addBuffer(lengthBytes: number): boolean {
    return this.#stage(lengthBytes, -1);
  }

  addSink(lengthBytes: number): boolean {
    const { staging } = this.#parts;
    if (!this.#holdsSink && !staging.holdSink()) return false;
    this.#holdsSink = true;
    const run = staging.sink;
    const memory = staging.memory(run);
    for (let left = lengthBytes; left > 0; left -= SINK_BYTES) {
      const count = Math.min(left, SINK_BYTES);
      if (!this.segments.add(memory, staging.handle(run), staging.offset(run), count)) return false;
    }
    return true;
  }

  fetch(task: DmaTask): DmaResult {
    return this.#direction === 'toDevice' ? this.#transfer(task, false) : 'done';
  }

  flush(task: DmaTask): DmaResult {
    return this.#direction === 'toGuest' ? this.#transfer(task, true) : 'done';
  }

  release(): void {
    const { space, staging, transfers } = this.#parts;
    transfers.abandon(this.#staged);
    for (let i = 0; i < this.#rowCount; i++) space.unpin(this.#rows[i]!);
    for (let i = 0; i < this.#runCount; i++) staging.give(this.#runs[i]!, this.#runBytes[i]!);
    if (this.#holdsSink) staging.letGoOfSink();
    this.#rowCount = 0;
    this.#runCount = 0;
    this.#holdsSink = false;
    this.#staged.clear();
    this.segments.clear();
  }

  #transfer(task: DmaTask, toGuest: boolean): DmaResult {
    const ended = task.dmaEnded;
    task.dmaEnded = null;
    if (ended !== null) return ended;
    // A backend copied into a file that was cut: the copy went nowhere.
    for (let i = 0; i < this.#rowCount; i++) if (this.#parts.space.faulted(this.#rows[i]!)) return 'fault';
    if (this.#staged.count === 0) return 'done';
    this.#staged.begin(task, toGuest, false);
    return this.#parts.transfers.start(this.#staged);
  }

  /** Pieces one after another in the same region are one pin. */
  #pin(row: number): boolean {
    if (this.#rowCount > 0 && this.#rows[this.#rowCount - 1] === row) return true;
    if (this.#rowCount === this.#rows.length) return false;
    this.#parts.space.pin(row);
    this.#rows[this.#rowCount++] = row;
    return true;
  }

  /**
   * Makes room for a piece of guest memory, or with iova -1 for one that nobody has. It begins where the last one ended: pieces of any length are
   * one here, which takes no page for each, and which a drive that wants whole pages takes as it is.
   */
  #stage(lengthBytes: number, iova: number): boolean {
    for (let done = 0; done < lengthBytes; ) {
      const last = this.#runCount - 1;
      const rest = last < 0 ? 0 : pageRest(this.#runBytes[last]!);
      const left = lengthBytes - done;
      const count = rest > 0 ? Math.min(left, rest) : this.#take(Math.min(left, MAX_RUN_BYTES));
      if (count === 0) return false;
      const run = this.#runCount - 1;
      const begin = this.#runBytes[run]!;
      this.#runBytes[run] = begin + count;
      if (!this.#place(this.#runs[run]!, begin, count, iova < 0 ? -1 : iova + done)) return false;
      done += count;
    }
    return true;
  }

  /** Begins a run for `lengthBytes`, or for less where the memory that is free is in crumbs: for how many; 0 when there is none. */
  #take(lengthBytes: number): number {
    if (this.#runCount === this.#runs.length) return 0;
    let count = lengthBytes;
    let run = this.#parts.staging.take(count);
    while (run < 0 && count > PAGE) {
      count = Math.ceil(count / 2);
      run = this.#parts.staging.take(count);
    }
    if (run < 0) return 0;
    this.#runs[this.#runCount] = run;
    this.#runBytes[this.#runCount++] = 0;
    return count;
  }

  #place(run: number, begin: number, lengthBytes: number, iova: number): boolean {
    const { staging } = this.#parts;
    const memory = staging.memory(run);
    const offset = staging.offset(run) + begin;
    // Whatever was in it before is not the guest's to see.
    memory.bytes.fill(0, offset, offset + lengthBytes);
    if (!this.segments.add(memory, staging.handle(run), offset, lengthBytes)) return false;
    return iova < 0 || this.#staged.add(iova, memory, offset, lengthBytes);
  }
}

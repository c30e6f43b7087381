import type { AddressSpace } from './address-space.ts';
import { type DmaChannel, MAX_DMA_MESSAGE_BYTES } from './dma-channel.ts';
import { READABLE, WRITABLE } from './dma-table.ts';
import type { DmaResult } from './guest-memory.ts';
import { Place } from './place.ts';
import type { Transfer } from './transfer.ts';

/** Messages outstanding at once: 512 KiB. QEMU answered 64 of this size in step (facts/qemu-client.md). */
const SLOTS = 16;
const GENERATIONS = 2 ** 24;
/** Atomics on any word keep the stores before it before those after it. */
const FENCE = new Int32Array(1);

/**
 * Carries transfers out, in messages where the guest's memory is not here. Messages of a transfer go out in order and side by side; when all
 * slots are taken the next transfers wait. A token is a slot and its generation: an answer to a message that was
 * given up names a generation that is past, and is dropped.
 */
export class Transfers {
  channel: DmaChannel | null = null;
  readonly #space: AddressSpace;
  readonly #place = new Place();
  /** Begun and not ended, in order. */
  readonly #running = new Set<Transfer>();
  /** Ended, and their tasks not resumed yet. */
  readonly #ended: Transfer[] = [];
  #pumping = false;
  // Messages, by slot.
  readonly #owner = new Array<Transfer | null>(SLOTS).fill(null);
  readonly #generation = new Int32Array(SLOTS);
  readonly #piece = new Int32Array(SLOTS);
  readonly #areaOffset = new Float64Array(SLOTS);
  readonly #lengthBytes = new Int32Array(SLOTS);

  constructor(space: AddressSpace) {
    this.#space = space;
  }

  /** Starts a transfer whose pieces and task are set. `pending`: its task is resumed from `poll`. */
  start(transfer: Transfer): DmaResult {
    if (this.#running.size === 0) {
      this.#pumping = true;
      this.#advance(transfer);
      this.#pumping = false;
    }
    if (transfer.allAsked && transfer.outstanding === 0) {
      transfer.state = 'idle';
      return transfer.failed ? 'fault' : 'done';
    }
    this.#running.add(transfer);
    transfer.task!.dmaToken = 1;
    this.#pump();
    return 'pending';
  }

  /** Gives a transfer up; its task is not resumed. */
  abandon(transfer: Transfer): void {
    if (transfer.state === 'idle') return;
    this.#forgetMessages(transfer);
    this.#running.delete(transfer);
    transfer.task!.dmaToken = 0;
    transfer.state = 'idle';
  }

  /** Ends every transfer under way with a fault. */
  cancel(): void {
    for (const transfer of this.#running) {
      this.#forgetMessages(transfer);
      transfer.failed = true;
      this.#end(transfer);
    }
  }

  replied(token: number, errno: number, source: Uint8Array, offset: number, lengthBytes: number): void {
    const slot = token % SLOTS;
    const transfer = this.#owner[slot] ?? null;
    if (transfer === null || Math.floor(token / SLOTS) !== this.#generation[slot]) return;
    const wanted = this.#lengthBytes[slot]!;
    if (errno !== 0 || (!transfer.toGuest && lengthBytes !== wanted)) transfer.failed = true;
    else if (!transfer.toGuest) {
      const area = transfer.area[this.#piece[slot]!]!;
      area.bytes.set(source.subarray(offset, offset + wanted), this.#areaOffset[slot]!);
    }
    this.#freeSlot(slot);
    transfer.outstanding--;
    this.#pump();
  }

  /** Resumes the tasks of transfers that have ended, and sends what could not be sent before. */
  poll(): boolean {
    if (this.#running.size > 0) this.#pump();
    const count = this.#ended.length;
    for (let i = 0; i < count; i++) {
      const transfer = this.#ended[i]!;
      if (transfer.state !== 'ended') continue;
      const task = transfer.task!;
      transfer.state = 'idle';
      transfer.task = null;
      this.onEnded?.(transfer);
      task.dmaToken = 0;
      task.dmaEnded = transfer.failed ? 'fault' : 'done';
      task.resume();
      // A task that has other things to do by now must not take this for the end of its next access.
      task.dmaEnded = null;
    }
    if (count > 0) this.#ended.splice(0, count);
    return count > 0;
  }

  /** Told of each transfer before its task is resumed. */
  onEnded: ((transfer: Transfer) => void) | null = null;

  get idle(): boolean {
    return this.#ended.length === 0;
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (const transfer of this.#running) {
      this.#advance(transfer);
      // Those behind it have asked for nothing yet.
      if (!transfer.allAsked) break;
      if (transfer.outstanding === 0) this.#end(transfer);
    }
    this.#pumping = false;
  }

  /** Goes on as far as it can. */
  #advance(transfer: Transfer): void {
    const place = this.#place;
    const need = transfer.toGuest ? WRITABLE : READABLE;
    while (!transfer.allAsked) {
      const piece = transfer.piece;
      const iova = transfer.iova[piece]! + transfer.progress;
      let left = transfer.lengthBytes[piece]! - transfer.progress;
      const last = transfer.publishes && left <= 4;
      if (transfer.publishes && !last) left -= 4;
      this.#space.locate(iova, need, place);
      const count = Math.min(left, place.limit - iova);
      if (place.kind === 'absent') transfer.failed = true;
      else if (place.kind === 'message') {
        if (!this.#send(transfer, iova, Math.min(count, this.#maxMessageBytes()))) return;
      } else {
        // What publishes the rest waits until the rest is there.
        if (last && transfer.outstanding > 0) return;
        const areaOffset = transfer.areaOffset[piece]! + transfer.progress;
        if (last) Atomics.store(FENCE, 0, 0);
        const copied = this.#space.copy(iova, place, transfer.toGuest, transfer.area[piece]!, areaOffset, count);
        if (copied) transfer.advance(count);
        else transfer.failed = true;
      }
    }
  }

  #maxMessageBytes(): number {
    return Math.min(this.channel?.maxLengthBytes ?? MAX_DMA_MESSAGE_BYTES, MAX_DMA_MESSAGE_BYTES);
  }

  #send(transfer: Transfer, iova: number, lengthBytes: number): boolean {
    const slot = this.#owner.indexOf(null);
    const channel = this.channel;
    if (channel === null) transfer.failed = true;
    if (slot < 0 || channel === null) return false;
    const { piece, progress } = transfer;
    const areaOffset = transfer.areaOffset[piece]! + progress;
    const area = transfer.area[piece]!.bytes;
    this.#owner[slot] = transfer;
    this.#piece[slot] = piece;
    this.#areaOffset[slot] = areaOffset;
    this.#lengthBytes[slot] = lengthBytes;
    const token = this.#generation[slot]! * SLOTS + slot;
    // Before the call: a channel in memory may answer inside of it.
    transfer.outstanding++;
    transfer.advance(lengthBytes);
    const sent = transfer.toGuest
      ? channel.write(token, iova, area, areaOffset, lengthBytes)
      : channel.read(token, iova, lengthBytes);
    if (sent) return true;
    this.#freeSlot(slot);
    transfer.outstanding--;
    transfer.piece = piece;
    transfer.progress = progress;
    return false;
  }

  #end(transfer: Transfer): void {
    this.#running.delete(transfer);
    transfer.state = 'ended';
    this.#ended.push(transfer);
  }

  #forgetMessages(transfer: Transfer): void {
    for (let slot = 0; slot < SLOTS; slot++) if (this.#owner[slot] === transfer) this.#freeSlot(slot);
    transfer.outstanding = 0;
  }

  #freeSlot(slot: number): void {
    this.#owner[slot] = null;
    this.#generation[slot] = (this.#generation[slot]! + 1) % GENERATIONS;
  }
}

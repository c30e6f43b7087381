import type { ClientMemory } from '../memory/client-memory.ts';
import { type DmaChannel, MAX_DMA_MESSAGE_BYTES } from '../memory/dma-channel.ts';
import { setUint64, writeHeader } from '../protocol/encoding.ts';
import { Command, DMA_ACCESS_BYTES, DmaAccess, HEADER_BYTES, HeaderFlag } from '../protocol/messages.ts';
import { Errno } from './errno.ts';
import type { MessageInHand } from './message-in-hand.ts';
import type { Outbox } from './outbox.ts';

/** Requests under way at once; QEMU took 64 of 32 KiB (facts/qemu-client.md, DMA by message). A power of two. */
const SLOTS = 64;
/** What requests may fill of the outbox, so that replies always find room. */
const MAX_QUEUED_BYTES = 512 * 1024;

/**
 * The requests that the server itself sends: DMA_READ and DMA_WRITE. An id names a slot and its generation, so that the late answer to
 * a request that was given up finds nobody.
 */
export class DmaRequests implements DmaChannel {
  /** While a reply is being composed at the end of the outbox, nothing else can be. */
  blocked = false;
  readonly maxLengthBytes: number;
  /** Answers that have come. */
  answers = 0;
  readonly #outbox: Outbox;
  readonly #memory: ClientMemory;
  readonly #token = new Float64Array(SLOTS);
  readonly #lengthBytes = new Int32Array(SLOTS);
  readonly #command = new Uint8Array(SLOTS);
  readonly #generation = new Uint16Array(SLOTS);
  readonly #free = new Uint8Array(SLOTS);
  #freeCount = SLOTS;

  constructor(outbox: Outbox, memory: ClientMemory, maxDataBytes: number) {
    this.#outbox = outbox;
    this.#memory = memory;
    this.maxLengthBytes = Math.min(MAX_DMA_MESSAGE_BYTES, maxDataBytes);
    for (let slot = 0; slot < SLOTS; slot++) this.#free[slot] = SLOTS - 1 - slot;
  }

  /** Requests whose answer is awaited. */
  get outstanding(): number {
    return SLOTS - this.#freeCount;
  }

  read(token: number, iova: number, lengthBytes: number): boolean {
    const at = this.#begin(token, Command.dmaRead, iova, lengthBytes, HEADER_BYTES + DMA_ACCESS_BYTES);
    if (at < 0) return false;
    this.#outbox.commit(HEADER_BYTES + DMA_ACCESS_BYTES);
    return true;
  }

  write(token: number, iova: number, source: Uint8Array, offset: number, lengthBytes: number): boolean {
    const sizeBytes = HEADER_BYTES + DMA_ACCESS_BYTES + lengthBytes;
    const at = this.#begin(token, Command.dmaWrite, iova, lengthBytes, sizeBytes);
    if (at < 0) return false;
    const bytes = this.#outbox.buffer.bytes;
    const data = at + HEADER_BYTES + DmaAccess.data;
    if (lengthBytes > 128) bytes.set(source.subarray(offset, offset + lengthBytes), data);
    else for (let i = 0; i < lengthBytes; i++) bytes[data + i] = source[offset + i]!;
    this.#outbox.commit(sizeBytes);
    return true;
  }

  /**
   * An answer. One that nobody waits for is dropped. The reply to DMA_WRITE is the header alone, or with a 16-byte echo (QEMU before
   * and since 11.1).
   */
  replied(message: MessageInHand): void {
    const slot = message.id & (SLOTS - 1);
    const command = this.#command[slot]!;
    if (command === 0 || this.#id(slot) !== message.id) return;
    const lengthBytes = this.#lengthBytes[slot]!;
    const token = this.#token[slot]!;
    this.#release(slot);
    this.answers++;
    const error = this.#check(message, command, lengthBytes);
    const dataBytes = error === 0 && command === Command.dmaRead ? lengthBytes : 0;
    this.#memory.dmaReplied(token, error, message.bytes, message.payload + DmaAccess.data, dataBytes);
  }

  /** Nobody waits for answers any more. */
  cancel(): void {
    for (let slot = 0; slot < SLOTS; slot++) if (this.#command[slot] !== 0) this.#release(slot);
    this.#memory.dmaCancelled();
  }

  #begin(token: number, command: number, iova: number, lengthBytes: number, sizeBytes: number): number {
    if (this.blocked || this.#freeCount === 0 || lengthBytes > this.maxLengthBytes) return -1;
    if (this.#outbox.usedBytes > MAX_QUEUED_BYTES) return -1;
    const at = this.#outbox.reserve(sizeBytes);
    if (at < 0) return -1;
    const slot = this.#free[--this.#freeCount]!;
    this.#token[slot] = token;
    this.#lengthBytes[slot] = lengthBytes;
    this.#command[slot] = command;
    const view = this.#outbox.buffer.view;
    writeHeader(view, at, this.#id(slot), command, sizeBytes, HeaderFlag.command, 0);
    setUint64(view, at + HEADER_BYTES + DmaAccess.iova, iova);
    setUint64(view, at + HEADER_BYTES + DmaAccess.count, lengthBytes);
    return at;
  }

  #check(message: MessageInHand, command: number, lengthBytes: number): number {
    if (message.replyErrno !== 0) return message.replyErrno;
    if (message.command !== command) return Errno.EIO;
    const { view, payload, payloadBytes } = message;
    if (command === Command.dmaRead && payloadBytes < DMA_ACCESS_BYTES + lengthBytes) return Errno.EIO;
    // The count in the reply to a write is 4 bytes in the specification's table, 8 in QEMU: the low word serves both.
    if (payloadBytes >= DMA_ACCESS_BYTES && view.getUint32(payload + DmaAccess.count, true) !== lengthBytes)
      return Errno.EIO;
    return 0;
  }

  #id(slot: number): number {
    return ((this.#generation[slot]! * SLOTS) & 0xffff) | slot;
  }

  #release(slot: number): void {
    this.#command[slot] = 0;
    this.#generation[slot] = this.#generation[slot]! + 1;
    this.#free[this.#freeCount++] = slot;
  }
}

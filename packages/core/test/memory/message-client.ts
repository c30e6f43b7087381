import type { ClientMemory } from '../../src/memory/client-memory.ts';
import type { DmaChannel } from '../../src/memory/dma-channel.ts';

export interface Message {
  readonly kind: 'read' | 'write';
  readonly token: number;
  readonly iova: number;
  readonly lengthBytes: number;
  readonly bytes: Uint8Array;
}

/** A client that answers DMA messages out of memory of its own, when the test says so. */
export class MessageClient implements DmaChannel {
  readonly ram: Uint8Array;
  readonly messages: Message[] = [];
  /** Every message ever sent, for the order. */
  readonly sent: Message[] = [];
  /** Messages it takes at once. */
  capacity = Infinity;
  readonly #memory: ClientMemory;
  readonly #base: number;

  constructor(memory: ClientMemory, base: number, sizeBytes: number) {
    this.#memory = memory;
    this.#base = base;
    this.ram = new Uint8Array(sizeBytes);
  }

  read(token: number, iova: number, lengthBytes: number): boolean {
    return this.#take({ kind: 'read', token, iova, lengthBytes, bytes: new Uint8Array(0) });
  }

  write(token: number, iova: number, source: Uint8Array, offset: number, lengthBytes: number): boolean {
    return this.#take({ kind: 'write', token, iova, lengthBytes, bytes: source.slice(offset, offset + lengthBytes) });
  }

  /** Carries out and answers a message: the oldest unless told which. */
  answer(message = this.messages[0], errno = 0): void {
    if (message === undefined) throw new Error('no message to answer');
    this.messages.splice(this.messages.indexOf(message), 1);
    const at = message.iova - this.#base;
    if (message.kind === 'write' && errno === 0) this.ram.set(message.bytes, at);
    const count = message.kind === 'read' && errno === 0 ? message.lengthBytes : 0;
    // The payload of a reply lies somewhere in a larger buffer.
    const payload = new Uint8Array(count + 24);
    payload.set(this.ram.subarray(at, at + count), 16);
    this.#memory.dmaReplied(message.token, errno, payload, 16, count);
  }

  answerAll(): void {
    while (this.messages.length > 0) this.answer();
  }

  #take(message: Message): boolean {
    if (this.messages.length >= this.capacity) return false;
    this.messages.push(message);
    this.sent.push(message);
    return true;
  }
}

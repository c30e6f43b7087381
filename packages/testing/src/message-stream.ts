import { HEADER_BYTES, Header } from '@sidecard/core';
import { decodeMessage, type Message } from './message.ts';
import type { ClientTransport } from './transport.ts';

/** The server has hung up, or talks nonsense. */
export class Disconnected extends Error {}

/** Messages that come over a transport, whole. Descriptors go with the message begun last, as the kernel delivers them. */
export class MessageStream {
  readonly transport: ClientTransport;
  /** True once the server has hung up and all that it sent has been read. */
  ended = false;
  #bytes = new Uint8Array(65536);
  #length = 0;
  #fds: number[] = [];

  constructor(transport: ClientTransport) {
    this.transport = transport;
  }

  /** The next message, or null when none has come whole. */
  next(): Message | null {
    for (;;) {
      const message = this.#take();
      if (message !== null || this.ended) return message;
      this.#grow();
      const count = this.transport.receive(this.#bytes.subarray(this.#length), this.#fds);
      if (count === 0) return null;
      if (count < 0) this.ended = true;
      else this.#length += count;
    }
  }

  #take(): Message | null {
    if (this.#length < HEADER_BYTES) return null;
    const sizeBytes = new DataView(this.#bytes.buffer).getUint32(Header.sizeBytes, true);
    if (sizeBytes < HEADER_BYTES) throw new Disconnected(`the server sent a message of ${sizeBytes} bytes`);
    if (this.#length < sizeBytes) return null;
    const last = this.#length === sizeBytes;
    const message = decodeMessage(this.#bytes.subarray(0, sizeBytes), last ? this.#fds : []);
    if (last) this.#fds = [];
    this.#bytes.copyWithin(0, sizeBytes, this.#length);
    this.#length -= sizeBytes;
    return message;
  }

  #grow(): void {
    if (this.#bytes.length - this.#length >= 32768) return;
    const bytes = new Uint8Array(this.#bytes.length * 2);
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }
}

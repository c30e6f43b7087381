import { HeaderFlag } from '@sidecard/core';
import { DmaService } from './dma-service.ts';
import { encodeMessage, isReply, type Message } from './message.ts';
import { Disconnected, MessageStream } from './message-stream.ts';
import type { ClientTransport } from './transport.ts';

/** How long a client waits for a reply unless told, real milliseconds: QEMU's patience. */
const REPLY_TIMEOUT_MS = 5000;

export interface SendOptions {
  readonly fds?: readonly number[];
  readonly id?: number;
  readonly noReply?: boolean;
  /** Further flags of the header. */
  readonly flags?: number;
  /** What the header says of the size, when it is to lie. */
  readonly sizeBytes?: number;
}

export interface WaitOptions {
  readonly timeoutMs?: number;
}

/** Messages of a client: sent whole or in pieces, and replies matched to them. The server's own requests are served meanwhile. */
export class ClientWire {
  readonly transport: ClientTransport;
  readonly dma: DmaService;
  /** As QEMU: DMA requests are answered only while no reply is awaited (facts: its big lock). */
  dmaWaitsForReply = false;
  /** Replies that nobody waited for yet, oldest first. */
  readonly replies: Message[] = [];
  readonly #stream: MessageStream;
  #twin: MessageStream | null = null;
  #nextId = 1;
  #postponed: Message[] = [];
  #waiting = 0;
  #sending = false;

  constructor(transport: ClientTransport) {
    this.transport = transport;
    this.#stream = new MessageStream(transport);
    this.dma = new DmaService((bytes) => this.sendBytes(bytes, [], this.#twin?.transport ?? this.transport));
  }

  /** The server's requests come over a socket of their own from now on. */
  useTwin(transport: ClientTransport): void {
    this.#twin = new MessageStream(transport);
  }

  get ended(): boolean {
    return this.#stream.ended;
  }

  /** Sends bytes as they are, with descriptors on the first; waits while the peer's buffer is full. @throws Disconnected */
  sendBytes(bytes: Uint8Array, fds: readonly number[] = [], transport: ClientTransport = this.transport): void {
    const deadline = Date.now() + REPLY_TIMEOUT_MS;
    let sent = 0;
    let rest = fds;
    // What is sent in answer to what comes meanwhile must not get between.
    this.#sending = true;
    try {
      while (sent < bytes.length) {
        const count = transport.send(bytes.subarray(sent), rest);
        if (count < 0) throw new Disconnected('the server has hung up');
        if (count > 0) rest = [];
        else {
          this.transport.turn();
          this.#receive();
          if (Date.now() > deadline) throw new Error('the server takes no more bytes');
        }
        sent += count;
      }
    } finally {
      this.#sending = false;
    }
  }

  /** Sends a message; its id. */
  send(command: number, payload: Uint8Array = new Uint8Array(0), options: SendOptions = {}): number {
    const id = options.id ?? this.#freshId();
    const flags = (options.noReply ? HeaderFlag.noReply : 0) | (options.flags ?? 0);
    const { sizeBytes } = options;
    this.sendBytes(
      encodeMessage(command, payload, { id, flags, ...(sizeBytes !== undefined && { sizeBytes }) }),
      options.fds,
    );
    return id;
  }

  /** The reply to the message `id`. @throws when none comes in time, or Disconnected. */
  reply(id: number, options: WaitOptions = {}): Message {
    const deadline = Date.now() + (options.timeoutMs ?? REPLY_TIMEOUT_MS);
    this.#waiting++;
    try {
      for (;;) {
        // Told before the last look: this thread may have been kept from looking.
        const late = Date.now() > deadline;
        this.#receive();
        const at = this.replies.findIndex((one) => one.id === id);
        if (at >= 0) return this.replies.splice(at, 1)[0]!;
        if (this.#stream.ended) throw new Disconnected('the server has hung up');
        if (late) throw new Error(`no reply to message ${id}`);
        this.transport.turn();
      }
    } finally {
      this.#waiting--;
    }
  }

  /** Sends a message and waits for its reply. */
  request(command: number, payload?: Uint8Array, options: SendOptions & WaitOptions = {}): Message {
    return this.reply(this.send(command, payload, options), options);
  }

  /** Gives the server time once and takes what has come: for loops that wait for something else than a reply. */
  turn(): boolean {
    const worked = this.transport.turn();
    return this.#receive() || worked;
  }

  #freshId(): number {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) & 0xffff;
    return id;
  }

  #receive(): boolean {
    let any = false;
    for (const stream of this.#twin === null ? [this.#stream] : [this.#stream, this.#twin]) {
      for (let message = stream.next(); message !== null; message = stream.next()) {
        any = true;
        if (isReply(message)) this.replies.push(message);
        else this.#postponed.push(message);
      }
    }
    if (!this.#sending && !(this.dmaWaitsForReply && this.#waiting > 0)) {
      for (const message of this.#postponed.splice(0)) {
        if (!this.dma.handle(message)) throw new Error(`the server sent command ${message.command}`);
      }
    }
    return any;
  }
}

import type { CloseFd } from '../protocol/fd-list.ts';
import { Frame, Framer } from '../protocol/framer.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import type { Channel } from './channel.ts';
import { MessageInHand } from './message-in-hand.ts';
import { Outbox } from './outbox.ts';
import type { Session } from './session.ts';

/**
 * The second socket of a connection, for the requests that the server sends and their replies (VERSION, twin_socket). Made by the
 * server, whose end this is; the client's end goes with the VERSION reply.
 */
export class TwinSocket implements PollSource {
  /** The client's end, until it has been handed to the outbox of the VERSION reply. -1 after that. */
  clientFd: number;
  readonly outbox = new Outbox(1024 * 1024);
  readonly wakeFd?: number;
  readonly #channel: Channel;
  readonly #session: Session;
  readonly #closeFd: CloseFd;
  readonly #framer: Framer;
  readonly #message: MessageInHand;
  #closed = false;

  constructor(session: Session, channel: Channel, clientFd: number, closeFd: CloseFd) {
    this.#session = session;
    this.#channel = channel;
    this.#closeFd = closeFd;
    this.clientFd = clientFd;
    this.#framer = new Framer(closeFd);
    this.#message = new MessageInHand(this.#framer);
    if (channel.wakeFd !== undefined) this.wakeFd = channel.wakeFd;
  }

  get silent(): boolean {
    return this.outbox.usedBytes > 0;
  }

  poll(): boolean {
    if (this.#closed) return false;
    const framer = this.#framer;
    const at = framer.receiveAt();
    const count = this.#channel.receive(framer.buffer.bytes, at, framer.buffer.lengthBytes - at, framer.received);
    if (count === 0) return false;
    if (count < 0) {
      this.#session.close('the client has closed the twin socket');
      return true;
    }
    framer.advance(count);
    for (;;) {
      const frame = framer.next();
      if (frame === Frame.none || this.#closed) return true;
      if (frame === Frame.broken) {
        this.#session.close('a message with an impossible size on the twin socket');
        return true;
      }
      this.#message.read();
      if (this.#message.isReply) this.#session.dma?.replied(this.#message);
    }
  }

  flush(): void {
    if (this.#closed || this.outbox.usedBytes === 0) return;
    if (this.outbox.flush(this.#channel) < 0) this.#session.close('the client has closed the twin socket');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#framer.clear();
    this.outbox.clear(this.#closeFd);
    if (this.clientFd >= 0) this.#closeFd(this.clientFd);
    this.#channel.close();
  }
}

import type { ClientMemory } from '../memory/client-memory.ts';
import type { Clock, Log } from '../pci/device.ts';
import type { PciFunction } from '../pci/function.ts';
import { writeErrorReply, writeHeader } from '../protocol/encoding.ts';
import type { CloseFd } from '../protocol/fd-list.ts';
import { Frame, Framer } from '../protocol/framer.ts';
import { HEADER_BYTES, Header, HeaderFlag } from '../protocol/messages.ts';
import type { ClientLimits } from '../protocol/negotiation.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import type { StateArena } from '../state/arena.ts';
import type { Channel } from './channel.ts';
import { dispatch } from './commands.ts';
import { type Deferral, Deferrals } from './deferrals.ts';
import { answerDeferred, failLate } from './deferred-replies.ts';
import type { DmaRequests } from './dma-requests.ts';
import { Errno } from './errno.ts';
import { MessageInHand } from './message-in-hand.ts';
import { Outbox } from './outbox.ts';
import { Outcome } from './outcome.ts';
import type { TwinSocket } from './twin-socket.ts';

/** Room for the reply to any message but a long REGION_READ, bytes. */
const SMALL_REPLY_BYTES = 8192;

/** Since the server was made; for whoever asks. */
export interface ServerCounts {
  clients: number;
  /** Clients that came while another was connected. */
  refused: number;
  messages: number;
}

/** Buffers of a connection, used again by the next one. */
export class SessionBuffers {
  readonly framer: Framer;
  readonly outbox: Outbox;
  constructor(closeFd: CloseFd) {
    this.framer = new Framer(closeFd);
    this.outbox = new Outbox(this.framer.buffer.lengthBytes + 512 * 1024);
  }
}

export interface SessionParts {
  readonly channel: Channel;
  readonly buffers: SessionBuffers;
  readonly function: PciFunction;
  readonly memory: ClientMemory;
  readonly arena: StateArena;
  readonly clock: Clock;
  readonly log: Log;
  readonly closeFd: CloseFd;
  readonly drainMs: number;
  readonly counts: ServerCounts;
  /** Told of what a message made the device throw. */
  readonly failed: (error: unknown) => void;
  /** A fresh socket pair for server-to-client requests, where the system has one. */
  readonly makeTwin: (session: Session) => TwinSocket | null;
  /** The connection has ended; nobody may look at it any more, and its descriptors are about to be closed. */
  readonly ended: (reason: string) => void;
}

/**
 * One client's connection: messages in, replies out. Nothing that comes in ends the process: a wrong message gets an
 * error reply, a stream that makes no sense ends the connection.
 */
export class Session implements PollSource {
  readonly parts: SessionParts;
  readonly message: MessageInHand;
  readonly outbox: Outbox;
  readonly deferrals: Deferrals;
  readonly wakeFd?: number;
  /** Null until VERSION has been agreed on. */
  limits: ClientLimits | null = null;
  dma: DmaRequests | null = null;
  twin: TwinSocket | null = null;
  closed = false;
  /** The message being handled has asked for a Function Level Reset. */
  functionReset = false;
  /** Payload bytes of the reply being composed. */
  #replyBytes = 0;
  #replyAt = 0;
  #outcome = 0;
  #endsWith: string | null = null;
  /** The message at hand waits for room in the outbox. */
  #stalled = false;
  readonly #framer: Framer;
  readonly #turnBody: () => void;
  readonly #answer: (deferral: Deferral) => boolean;

  constructor(parts: SessionParts) {
    this.parts = parts;
    this.#framer = parts.buffers.framer;
    this.outbox = parts.buffers.outbox;
    this.message = new MessageInHand(this.#framer);
    this.deferrals = new Deferrals(parts.clock, parts.drainMs, (late) => {
      failLate(this, late);
      this.flush();
    });
    if (parts.channel.wakeFd !== undefined) this.wakeFd = parts.channel.wakeFd;
    this.#turnBody = () => {
      this.#outcome = dispatch(this);
    };
    this.#answer = (deferral) => answerDeferred(this.outbox, deferral);
  }

  /** True while nothing wakes the reactor for this: the peer has yet to make room for what waits to be sent. */
  get silent(): boolean {
    return this.outbox.usedBytes > 0;
  }

  /** Receives once and handles every message that is complete. */
  poll(): boolean {
    if (this.closed) return false;
    if (this.outbox.usedBytes > 0) this.flush();
    if (this.#stalled) return this.#resume();
    const framer = this.#framer;
    const at = framer.receiveAt();
    const count = this.parts.channel.receive(framer.buffer.bytes, at, framer.buffer.lengthBytes - at, framer.received);
    if (count === 0) return false;
    if (count < 0) {
      this.close('the client has hung up');
      return true;
    }
    framer.advance(count);
    this.#stalled = !this.#handleAll();
    this.flush();
    return true;
  }

  /** Sends what waits; a DMA request made outside of a message is sent by this. */
  flush(): void {
    if (this.closed) return;
    if (this.outbox.usedBytes > 0) {
      if (this.outbox.flush(this.parts.channel) < 0) {
        this.close('the client does not take replies');
        return;
      }
      const sent = this.outbox.sentFds;
      while (sent.length > 0) this.parts.closeFd(sent.pop()!);
    }
    this.twin?.flush();
    if (this.#endsWith !== null) this.close(this.#endsWith);
  }

  /** Answers deferred messages whose I/O has ended. True when there was one. */
  settle(): boolean {
    if (this.deferrals.count === 0 || this.closed) return false;
    const { function: pci, memory } = this.parts;
    const any = this.deferrals.settle((pci.device.inFlight ?? 0) === 0, memory.draining === 0, this.#answer);
    if (any) this.flush();
    return any;
  }

  /**
   * For handlers: where the payload of the reply goes in `outbox.buffer`, with room for `payloadBytes`; -1 when the reply must wait
   * (answer Outcome.stalled, before anything was changed).
   */
  reply(payloadBytes: number): number {
    const at = this.outbox.reserve(HEADER_BYTES + payloadBytes);
    if (at < 0) return -1;
    this.#replyAt = at;
    this.#replyBytes = payloadBytes;
    return at + HEADER_BYTES;
  }

  /** For handlers: the reply, made of `payload`, comes when what it awaits has ended. */
  defer(awaits: Deferral['awaits'], payload: Uint8Array, iova: number, sizeBytes: number): number {
    const { id, command, noReply } = this.message;
    if (noReply) return Outcome.done;
    const receivedMs = this.parts.clock.now();
    this.deferrals.add({ id, command, awaits, payload, iova, sizeBytes, receivedMs, drained: false });
    return Outcome.deferred;
  }

  /**
   * For handlers: the reply that was composed is sent when no request of before the reset is in flight. What waits for messages
   * of the client is cancelled: QEMU answers none while it waits for this reply.
   */
  deferReset(replyBytes: number): number {
    this.dma?.cancel();
    if ((this.parts.function.device.inFlight ?? 0) === 0) return Outcome.done;
    const at = this.#replyAt + HEADER_BYTES;
    return this.defer('reset', this.outbox.buffer.bytes.slice(at, at + replyBytes), 0, 0);
  }

  /** For handlers: the connection ends once the reply has been sent. */
  endAfterReply(reason: string): void {
    this.#endsWith = reason;
  }

  /** Releases everything of this client; the device keeps its state. */
  close(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    const { parts } = this;
    this.deferrals.clear();
    this.dma?.cancel();
    parts.ended(reason);
    this.#framer.clear();
    this.outbox.clear(parts.closeFd);
    this.twin?.close();
    parts.channel.close();
  }

  /** Goes on with messages whose replies had found no room. Nothing is received before they are answered. */
  #resume(): boolean {
    if (this.closed) return true;
    this.#stalled = !this.#handleAll();
    this.flush();
    return !this.#stalled;
  }

  /** Handles what is complete; false when a reply found no room. */
  #handleAll(): boolean {
    const framer = this.#framer;
    for (;;) {
      const frame = framer.next();
      if (frame === Frame.none) return true;
      if (frame === Frame.broken) {
        this.#refuseStream();
        return true;
      }
      if (!this.#handle()) {
        framer.putBack();
        return false;
      }
      if (this.closed || this.#endsWith !== null) return true;
    }
  }

  #handle(): boolean {
    const { message, outbox } = this;
    message.read();
    this.parts.counts.messages++;
    if (message.isReply) {
      this.dma?.replied(message);
      return true;
    }
    let at = outbox.reserve(SMALL_REPLY_BYTES);
    if (at < 0) {
      this.flush();
      at = this.closed ? -1 : outbox.reserve(SMALL_REPLY_BYTES);
      if (at < 0) return this.closed;
    }
    this.#replyAt = at;
    this.#replyBytes = 0;
    const outcome = this.#run();
    if (outcome === Outcome.stalled) return this.#retryWithRoom();
    this.#complete(outcome);
    return true;
  }

  /** The reply did not fit behind what waits; once all of that is sent it does. */
  #retryWithRoom(): boolean {
    this.flush();
    if (this.closed) return true;
    if (this.outbox.usedBytes > 0) return false;
    const outcome = this.#run();
    this.#complete(outcome === Outcome.stalled ? Errno.EINVAL : outcome);
    return true;
  }

  #run(): number {
    const { dma } = this;
    this.functionReset = false;
    if (dma !== null) dma.blocked = true;
    try {
      this.parts.arena.turn(this.#turnBody);
      return this.#outcome;
    } catch (error) {
      this.parts.log.error({ error, command: this.message.command }, 'A message could not be handled');
      this.parts.failed(error);
      return Errno.EIO;
    } finally {
      if (dma !== null) dma.blocked = false;
    }
  }

  #complete(outcome: number): void {
    const { message, outbox } = this;
    if (outcome < 0 || message.noReply) return;
    const view = outbox.buffer.view;
    if (outcome > 0) {
      writeErrorReply(view, this.#replyAt, message.id, message.command, outcome);
      outbox.commit(HEADER_BYTES);
    } else {
      const sizeBytes = HEADER_BYTES + this.#replyBytes;
      writeHeader(view, this.#replyAt, message.id, message.command, sizeBytes, HeaderFlag.reply, 0);
      outbox.commit(sizeBytes);
    }
  }

  /** A size that no message has: one error reply, then the end, since where the next message starts is not known. */
  #refuseStream(): void {
    const view = this.#framer.buffer.view;
    const at = this.outbox.reserve(HEADER_BYTES);
    const flags = view.getUint32(this.#framer.at + Header.flags, true);
    if (at >= 0 && (flags & (HeaderFlag.typeMask | HeaderFlag.noReply)) === 0) {
      const id = view.getUint16(this.#framer.at + Header.id, true);
      const command = view.getUint16(this.#framer.at + Header.command, true);
      writeErrorReply(this.outbox.buffer.view, at, id, command, Errno.EINVAL);
      this.outbox.commit(HEADER_BYTES);
    }
    this.endAfterReply('a message with an impossible size');
  }
}

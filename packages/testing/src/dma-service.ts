import { Command, DMA_ACCESS_BYTES, DmaAccess, HeaderFlag } from '@sidecard/core';
import type { GuestRam } from './guest-ram.ts';
import { decodeFields, encodeFields, encodeMessage, type Message } from './message.ts';

const EFAULT = 14;
const EINVAL = 22;

/** A DMA_READ or DMA_WRITE of the server. */
export interface DmaRequest {
  readonly kind: 'read' | 'write';
  readonly iova: number;
  readonly lengthBytes: number;
  readonly message: Message;
}

/** What becomes of a request: answered from guest memory, refused, or kept for `release`. */
export type DmaVerdict = 'answer' | 'hold' | { readonly errno: number };

/**
 * Answers DMA_READ and DMA_WRITE out of guest memory: at once, or when a test says so, in any order. A request that is held has
 * not touched memory; it does when it is released.
 */
export class DmaService {
  readonly rams: GuestRam[] = [];
  /** Requests seen. */
  count = 0;
  /** Requests held, oldest first. */
  readonly held: DmaRequest[] = [];
  /** Decides about each request; answers all unless replaced. */
  decide: (request: DmaRequest) => DmaVerdict = () => 'answer';
  /** The reply to DMA_WRITE is the header alone, as QEMU before 11.1 has it, instead of an echo. */
  shortWriteReply = false;
  readonly #reply: (bytes: Uint8Array) => void;

  constructor(reply: (bytes: Uint8Array) => void) {
    this.#reply = reply;
  }

  /** True when the message was a DMA request. */
  handle(message: Message): boolean {
    if (message.command !== Command.dmaRead && message.command !== Command.dmaWrite) return false;
    const { iova, count } = decodeFields(DmaAccess, DMA_ACCESS_BYTES, message.payload);
    const kind = message.command === Command.dmaRead ? 'read' : 'write';
    const request: DmaRequest = { kind, iova, lengthBytes: count, message };
    this.count++;
    const verdict = this.decide(request);
    if (verdict === 'hold') this.held.push(request);
    else if (verdict === 'answer') this.answer(request);
    else this.refuse(request, verdict.errno);
    return true;
  }

  /** Holds every request from now on. */
  hold(): void {
    this.decide = () => 'hold';
  }

  /** Answers the requests held, in their order or as `order` sorts them, and those to come at once. */
  release(order: (held: DmaRequest[]) => DmaRequest[] = (held) => held): void {
    this.decide = () => 'answer';
    for (const request of order(this.held.splice(0))) this.answer(request);
  }

  answer(request: DmaRequest): void {
    const { kind, iova, lengthBytes, message } = request;
    const ram = this.rams.find((one) => one.contains(iova, lengthBytes));
    if (ram === undefined) {
      this.refuse(request, EFAULT);
      return;
    }
    const echo = encodeFields(DmaAccess, DMA_ACCESS_BYTES, { iova, count: lengthBytes });
    if (kind === 'read') {
      const payload = new Uint8Array(DMA_ACCESS_BYTES + lengthBytes);
      payload.set(echo);
      payload.set(ram.load(iova, lengthBytes), DmaAccess.data);
      this.#send(message, payload);
    } else if (message.payload.length - DmaAccess.data === lengthBytes) {
      ram.store(iova, message.payload.subarray(DmaAccess.data));
      this.#send(message, this.shortWriteReply ? new Uint8Array(0) : echo);
    } else this.refuse(request, EINVAL);
  }

  refuse(request: DmaRequest, errno: number): void {
    const { id, command } = request.message;
    const flags = HeaderFlag.reply | HeaderFlag.error;
    this.#reply(encodeMessage(command, new Uint8Array(0), { id, flags, error: errno }));
  }

  #send(message: Message, payload: Uint8Array): void {
    if ((message.flags & HeaderFlag.noReply) !== 0) return;
    this.#reply(encodeMessage(message.command, payload, { id: message.id, flags: HeaderFlag.reply }));
  }
}

import type { FdList } from '../protocol/fd-list.ts';
import type { Framer } from '../protocol/framer.ts';
import { HEADER_BYTES, Header, HeaderFlag } from '../protocol/messages.ts';
import { Errno } from './errno.ts';

/** The message being handled, decoded where it was received. One object per connection, filled anew for each message. */
export class MessageInHand {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Descriptors that came with it; those not taken out are closed. */
  readonly fds: FdList;
  id = 0;
  command = 0;
  flags = 0;
  /** Offset of the payload in `bytes`. */
  payload = 0;
  payloadBytes = 0;
  readonly #framer: Framer;

  constructor(framer: Framer) {
    this.#framer = framer;
    this.bytes = framer.buffer.bytes;
    this.view = framer.buffer.view;
    this.fds = framer.fds;
  }

  read(): void {
    const { view } = this;
    const at = this.#framer.at;
    this.id = view.getUint16(at + Header.id, true);
    this.command = view.getUint16(at + Header.command, true);
    this.flags = view.getUint32(at + Header.flags, true);
    this.payload = at + HEADER_BYTES;
    this.payloadBytes = this.#framer.sizeBytes - HEADER_BYTES;
  }

  get isReply(): boolean {
    return (this.flags & HeaderFlag.typeMask) === HeaderFlag.reply;
  }

  get isCommand(): boolean {
    return (this.flags & HeaderFlag.typeMask) === HeaderFlag.command;
  }

  get noReply(): boolean {
    return (this.flags & HeaderFlag.noReply) !== 0;
  }

  /** Of a reply: 0, or its errno, "optional": it may be zero even if the error bit is set. */
  get replyErrno(): number {
    if ((this.flags & HeaderFlag.error) === 0) return 0;
    return this.view.getUint32(this.payload - HEADER_BYTES + Header.error, true) || Errno.EIO;
  }
}

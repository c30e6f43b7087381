import { HostBuffer } from '../bits/host-buffer.ts';
import { type CloseFd, FdList } from './fd-list.ts';
import { HEADER_BYTES, Header, MAX_MESSAGE_BYTES } from './messages.ts';

/** What `Framer.next` found. `broken`: a size that no message has, so the rest of the stream means nothing. */
export const Frame = { none: 0, message: 1, broken: 2 } as const;

/**
 * Finds messages in a stream that comes in any pieces, in place: bytes are received at `end`, and a message is read where
 * it lies. Nothing is allocated per message.
 *
 * Descriptors: the kernel ends a read after the buffer that carries them, so they belong to the last message begun by the
 * end of the read; that is the one that holds the last byte. All messages must be taken before the next read.
 */
export class Framer {
  readonly buffer = HostBuffer.alloc(MAX_MESSAGE_BYTES);
  /** Descriptors that came with the bytes being received; filled by Channel.receive. */
  readonly received = new FdList();
  /** Descriptors of the message in hand; what is still in it at the call of `next` is closed. */
  readonly fds = new FdList();
  /** Offset of the message in hand, its header first. */
  at = 0;
  /** Size of the message in hand, header included. */
  sizeBytes = 0;
  #start = 0;
  #end = 0;
  /** Descriptors of a message that has not come whole yet: always the next one. */
  readonly #early = new FdList();
  readonly #closeFd: CloseFd;

  constructor(closeFd: CloseFd) {
    this.#closeFd = closeFd;
  }

  /** Where the next bytes go; makes room for at least the rest of the message begun. */
  receiveAt(): number {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (this.#start > 0 && this.buffer.lengthBytes - this.#end < 65536) {
      this.buffer.bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#end;
  }

  /** `lengthBytes` have been received at `receiveAt()`. */
  advance(lengthBytes: number): void {
    this.#end += lengthBytes;
  }

  next(): number {
    if (this.fds.count !== 0) this.fds.closeAll(this.#closeFd);
    const available = this.#end - this.#start;
    if (available < HEADER_BYTES) return this.#incomplete();
    const sizeBytes = this.buffer.view.getUint32(this.#start + Header.sizeBytes, true);
    if (sizeBytes < HEADER_BYTES || sizeBytes > MAX_MESSAGE_BYTES) {
      this.at = this.#start;
      return Frame.broken;
    }
    if (available < sizeBytes) return this.#incomplete();
    this.at = this.#start;
    this.sizeBytes = sizeBytes;
    this.#start += sizeBytes;
    if (this.#early.count !== 0) this.fds.append(this.#early, this.#closeFd);
    if (this.#start === this.#end && this.received.count !== 0) this.fds.append(this.received, this.#closeFd);
    return Frame.message;
  }

  /** The message in hand cannot be handled yet: `next` will give it again. */
  putBack(): void {
    if (this.fds.count !== 0) this.#early.append(this.fds, this.#closeFd);
    this.#start = this.at;
  }

  /** Forgets everything and closes what came with it. */
  clear(): void {
    this.#start = 0;
    this.#end = 0;
    this.fds.closeAll(this.#closeFd);
    this.received.closeAll(this.#closeFd);
    this.#early.closeAll(this.#closeFd);
  }

  #incomplete(): number {
    if (this.received.count !== 0) this.#early.append(this.received, this.#closeFd);
    return Frame.none;
  }
}

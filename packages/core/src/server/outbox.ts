import { HostBuffer } from '../bits/host-buffer.ts';
import { FdList } from '../protocol/fd-list.ts';
import { HEADER_BYTES, Header } from '../protocol/messages.ts';
import type { Channel } from './channel.ts';

/**
 * What one sendmsg(2) carries at most of several small messages. The kernel puts up to this much into one socket buffer, so
 * that either all of it is taken or none, and no header is ever split (facts/qemu-client.md).
 */
const BATCH_BYTES = 32 * 1024;

/** A descriptor that goes with the message at `at`. */
interface Mark {
  at: number;
  readonly fd: number;
  /** Ended once it has been sent: the peer has its own. */
  readonly close: boolean;
}

/**
 * Messages on their way out, composed in place, bounded, never waiting: what the peer doesn't take stays here. A message with a descriptor
 * starts a sendmsg of its own, since the peer gets the descriptor with the first bytes that it reads of it.
 */
export class Outbox {
  readonly buffer: HostBuffer;
  readonly #noFds = new FdList();
  readonly #markFds = new FdList();
  #marks: Mark[] = [];
  #head = 0;
  #tail = 0;
  /** Bytes at the head that belong to a message whose beginning has been sent. */
  #rest = 0;

  constructor(capacityBytes: number) {
    this.buffer = HostBuffer.alloc(capacityBytes);
  }

  get usedBytes(): number {
    return this.#tail - this.#head;
  }

  /** Where the next message is composed, with room for `lengthBytes`; -1 when there is none now. */
  reserve(lengthBytes: number): number {
    if (this.buffer.lengthBytes - this.#tail < lengthBytes) this.#compact();
    return this.buffer.lengthBytes - this.#tail < lengthBytes ? -1 : this.#tail;
  }

  /** The message composed at the place reserved is complete. */
  commit(lengthBytes: number): void {
    this.#tail += lengthBytes;
  }

  /** A duplicate of `fd` goes with the message that will be committed next. */
  attach(fd: number, close: boolean): void {
    this.#marks.push({ at: this.#tail, fd, close });
  }

  /** Sends what the peer takes. -1 when the peer is gone. */
  flush(channel: Channel): number {
    while (this.#head < this.#tail) {
      const marked = this.#marks.length > 0;
      const length = this.#rest > 0 ? this.#rest : this.#batch(marked ? this.#boundary() : this.#tail);
      const fds = marked && this.#rest === 0 ? this.#fdsAtHead() : this.#noFds;
      const sent = channel.send(this.buffer.bytes, this.#head, length, fds);
      if (sent < 0) return -1;
      if (sent === 0) return 0;
      if (fds.count > 0) this.#sentMarks();
      this.#advance(sent, length);
    }
    this.#head = 0;
    this.#tail = 0;
    return 0;
  }

  /** Forgets everything. */
  clear(closeFd: (fd: number) => void): void {
    for (const mark of this.#marks) if (mark.close) closeFd(mark.fd);
    this.#marks = [];
    this.#head = 0;
    this.#tail = 0;
    this.#rest = 0;
  }

  /** Descriptors sent whose originals are to be ended. */
  readonly sentFds: number[] = [];

  #compact(): void {
    if (this.#head === 0) return;
    this.buffer.bytes.copyWithin(0, this.#head, this.#tail);
    for (const mark of this.#marks) mark.at -= this.#head;
    this.#tail -= this.#head;
    this.#head = 0;
  }

  /** Length of the whole messages from the head on, up to `end`, that go in one call. */
  #batch(end: number): number {
    const available = end - this.#head;
    if (available <= BATCH_BYTES) return available;
    let length = this.#messageBytes(this.#head);
    while (length < available) {
      const next = this.#messageBytes(this.#head + length);
      if (length + next > BATCH_BYTES) break;
      length += next;
    }
    return length;
  }

  #messageBytes(at: number): number {
    return Math.max(HEADER_BYTES, this.buffer.view.getUint32(at + Header.sizeBytes, true));
  }

  /** The end of what goes before the next message with descriptors, or of that message when it is at the head. */
  #boundary(): number {
    const first = this.#marks[0]!.at;
    return first > this.#head ? first : this.#head + this.#messageBytes(this.#head);
  }

  #fdsAtHead(): FdList {
    const list = this.#markFds;
    list.count = 0;
    for (const mark of this.#marks) if (mark.at === this.#head) list.fds[list.count++] = mark.fd;
    return list;
  }

  #sentMarks(): void {
    for (const mark of this.#marks) if (mark.at === this.#head && mark.close) this.sentFds.push(mark.fd);
    this.#marks = this.#marks.filter((mark) => mark.at !== this.#head);
  }

  #advance(sent: number, length: number): void {
    let left = sent;
    if (this.#rest > 0) {
      this.#rest -= sent;
      left = 0;
    } else if (sent < length) {
      let at = this.#head;
      while (left > 0) {
        const message = this.#messageBytes(at);
        if (left < message) {
          this.#rest = message - left;
          left = 0;
        } else {
          left -= message;
          at += message;
        }
      }
    }
    this.#head += sent;
  }
}

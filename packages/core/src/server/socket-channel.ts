import type { Native } from '@sidecard/native';
import type { FdList } from '../protocol/fd-list.ts';
import type { Channel } from './channel.ts';

// Linux, all architectures that Node runs on.
const EAGAIN = -11;
const EINTR = -4;
const EMSGSIZE = -90;

/** A UNIX stream socket. Owns its fd. */
export class SocketChannel implements Channel {
  readonly wakeFd: number;
  readonly #native: Native;
  #closed = false;

  constructor(native: Native, fd: number) {
    this.#native = native;
    this.wakeFd = fd;
  }

  receive(target: Uint8Array, at: number, lengthBytes: number, fds: FdList): number {
    const count = this.#native.receive(this.wakeFd, target, at, lengthBytes, fds.raw);
    if (count > 0) return count;
    if (count === EAGAIN || count === EINTR) {
      fds.count = 0;
      return 0;
    }
    // More descriptors than a message may have, or than this process can open: they are gone, the bytes are here.
    const received = count === EMSGSIZE ? -fds.count : -1;
    fds.count = 0;
    return received > 0 ? received : -1;
  }

  send(source: Uint8Array, at: number, lengthBytes: number, fds: FdList): number {
    const raw = fds.count === 0 ? null : fds.raw;
    const count = this.#native.send(this.wakeFd, source, at, lengthBytes, raw);
    if (count >= 0) return count;
    return count === EAGAIN || count === EINTR ? 0 : -1;
  }

  /** QEMU 11.1 ends with the whole machine when its connection is reset, which a plain close with a message of its own unread does. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.hangUp(this.wakeFd);
  }
}

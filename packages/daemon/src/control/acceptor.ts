import { Socket } from 'node:net';
import type { Native, Watch } from '@sidecard/native';
import type { Slices } from './slices.ts';

/** Connections taken in a slice of the device's thread; others wait in the kernel. */
export const acceptsPerSlice = 6;
/** A peer that is silent for so long is asked by the kernel (TCP) whether it is still there, ms. */
const silentMs = 60_000;

/** Takes connections of a listening socket, not too many at a time: a client that comes and goes for ever costs the device no more than one that asks. */
export class Acceptor {
  readonly #native: Native;
  readonly #fd: number;
  readonly #slices: Slices;
  readonly #watch: Watch;
  readonly #accepted: (socket: Socket) => void;
  #timer: NodeJS.Timeout | null = null;

  /** Owns the fd. The slices are those of all acceptors of this thread. */
  constructor(native: Native, fd: number, slices: Slices, accepted: (socket: Socket) => void) {
    this.#native = native;
    this.#fd = fd;
    this.#slices = slices;
    this.#accepted = accepted;
    this.#watch = native.watch(fd, 'read', () => this.#readable());
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#watch.close();
    this.#native.close(this.#fd);
  }

  /** One for each turn of the event loop: the socket stays readable while there are more. */
  #readable(): void {
    const waitMs = this.#slices.waitMs();
    if (waitMs === 0) {
      this.#slices.take();
      const fd = this.#native.accept(this.#fd);
      // Without descriptors left (EMFILE) it stays readable: the slices keep that from becoming a busy loop.
      if (fd >= 0) this.#accepted(socketOf(fd));
      return;
    }
    this.#watch.stop();
    this.#timer = setTimeout(() => this.#watch.start(), waitMs);
  }
}

function socketOf(fd: number): Socket {
  const socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
  // For TCP; a UNIX socket has neither.
  return socket.setNoDelay(true).setKeepAlive(true, silentMs);
}

import { Socket } from 'node:net';
import type { Native, Watch } from '@sidecard/native';
import { sliceMs } from './turns.ts';

/** Connections taken in a slice of the device's thread; others wait in the kernel. */
export const acceptsPerSlice = 6;

/** Takes connections of a listening socket, not too many at a time: a client that comes and goes for ever costs the device no more than one that asks. */
export class Acceptor {
  readonly #native: Native;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #accepted: (socket: Socket) => void;
  #sliceEndMs = 0;
  #left = 0;
  #timer: NodeJS.Timeout | null = null;

  /** Owns the fd. */
  constructor(native: Native, fd: number, accepted: (socket: Socket) => void) {
    this.#native = native;
    this.#fd = fd;
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
    const nowMs = performance.now();
    if (nowMs >= this.#sliceEndMs) {
      this.#sliceEndMs = nowMs + sliceMs;
      this.#left = acceptsPerSlice;
    }
    if (this.#left > 0) {
      this.#left--;
      const fd = this.#native.accept(this.#fd);
      // Without descriptors left (EMFILE) it stays readable: the slices keep that from becoming a busy loop.
      if (fd >= 0) this.#accepted(new Socket({ fd, allowHalfOpen: true, readable: true, writable: true }));
      return;
    }
    this.#watch.stop();
    this.#timer = setTimeout(() => this.#watch.start(), Math.ceil(this.#sliceEndMs - nowMs));
  }
}

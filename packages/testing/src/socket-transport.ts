import type { Native } from '@sidecard/native';
import type { ClientTransport } from './transport.ts';

const EAGAIN = 11;
/** Most descriptors that come with one message here. */
const MAX_FDS = 253;
/** Looks at the socket this often before it sleeps between looks. */
const SPINS = 200;

/**
 * A UNIX socket to a server: waiting for a reply blocks this thread, as a guest's access blocks its processor. So the server is in **another process
 * or thread**, or has its turns while we wait.
 */
export class SocketTransport implements ClientTransport {
  readonly fd: number;
  readonly #native: Native;
  readonly #sentFds = new Int32Array(MAX_FDS + 1);
  readonly #receivedFds = new Int32Array(MAX_FDS + 1);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  readonly #serverTurn: (() => boolean) | null;
  #idle = 0;
  #closed = false;

  /** Takes over a connected, non-blocking socket. `serverTurn` gives a server on this thread time. */
  constructor(native: Native, fd: number, serverTurn: (() => boolean) | null = null) {
    this.#native = native;
    this.fd = fd;
    this.#serverTurn = serverTurn;
  }

  /** @throws when nobody listens there. */
  static connect(native: Native, path: string, serverTurn: (() => boolean) | null = null): SocketTransport {
    return new SocketTransport(native, native.connect(path), serverTurn);
  }

  send(bytes: Uint8Array, fds: readonly number[]): number {
    if (this.#closed) return -1;
    this.#sentFds[0] = fds.length;
    this.#sentFds.set(fds, 1);
    const sent = this.#native.send(this.fd, bytes, 0, bytes.length, fds.length === 0 ? null : this.#sentFds);
    return sent >= 0 ? sent : sent === -EAGAIN ? 0 : -1;
  }

  receive(target: Uint8Array, fds: number[]): number {
    if (this.#closed) return -1;
    const count = this.#native.receive(this.fd, target, 0, target.length, this.#receivedFds);
    if (count === -EAGAIN) return 0;
    if (count <= 0) return -1;
    this.#idle = 0;
    for (let i = 1; i <= this.#receivedFds[0]!; i++) fds.push(this.#receivedFds[i]!);
    return count;
  }

  /** A server of elsewhere has its own processor: then this waits a moment. */
  turn(): boolean {
    if (this.#serverTurn !== null) return this.#serverTurn();
    if (++this.#idle > SPINS) Atomics.wait(this.#sleeper, 0, 0, 0.1);
    return false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close(this.fd);
  }
}

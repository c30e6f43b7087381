import type { Socket } from 'node:net';
import { refusalText } from './refusals.ts';

/** Connections at once; more are told so and closed. */
export const maxConnections = 64;
/** Longest from a connection's beginning, or its last answer, to the end of its next request, ms. */
export const requestMs = 15_000;

/** What there is of one connection. */
interface Connection {
  /** Until its next request has to be here; null while one is being answered. */
  timer: NodeJS.Timeout | null;
  /** Bytes that had come when it last began to wait. */
  bytesBefore: number;
  /** A request is being worked on: the next one has to wait for its answer. */
  busy: boolean;
}

/** Connections to the control socket: not too many, not for long without a request, and one request at a time on each. */
export class Connections {
  readonly #open = new Map<Socket, Connection>();

  /** Takes a connection; false, and it is closed, when there are too many. */
  add(socket: Socket): boolean {
    if (this.#open.size >= maxConnections) {
      socket.on('error', () => {});
      socket.end(refusalText(503, 'there are too many connections'), () => socket.destroy());
      return false;
    }
    this.#open.set(socket, { timer: this.#timer(socket), bytesBefore: 0, busy: false });
    socket.on('close', () => {
      this.received(socket);
      this.#open.delete(socket);
    });
    return true;
  }

  /** A request has begun: false when the one before it has not been answered (pipelining is not for here: it would be work without a bound). */
  begin(socket: Socket): boolean {
    const connection = this.#open.get(socket);
    if (connection === undefined || connection.busy) return false;
    connection.busy = true;
    return true;
  }

  /** All of a request is here: its answer may take its time. */
  received(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection?.timer == null) return;
    clearTimeout(connection.timer);
    connection.timer = null;
  }

  /** The answer is out. */
  answered(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined || socket.destroyed) return;
    this.received(socket);
    connection.busy = false;
    connection.bytesBefore = socket.bytesRead;
    connection.timer = this.#timer(socket);
  }

  close(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #timer(socket: Socket): NodeJS.Timeout {
    return setTimeout(() => this.#expired(socket), requestMs).unref();
  }

  #expired(socket: Socket): void {
    const { bytesBefore } = this.#open.get(socket)!;
    if (socket.bytesRead === bytesBefore) socket.destroy();
    else socket.end(refusalText(408, 'the request took too long to come'), () => socket.destroy());
  }
}

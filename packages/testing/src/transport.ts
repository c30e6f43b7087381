/**
 * A connection to a vfio-user server, as the client's end of a stream that carries descriptors. In-process sessions and UNIX
 * sockets are two of them, and the same client runs over both.
 */
export interface ClientTransport {
  /** Sends what the peer takes: bytes taken, 0 when its buffer is full (then no descriptor went), -1 when it is gone. */
  send(bytes: Uint8Array, fds: readonly number[]): number;
  /**
   * Receives into `target`; descriptors are added to `fds` and belong to the caller. 0 when nothing has come, -1 when the server
   * has hung up.
   */
  receive(target: Uint8Array, fds: number[]): number;
  /** Gives the server time. True when it did something. Called again and again while the client waits. */
  turn(): boolean;
  close(): void;
}

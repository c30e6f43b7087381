import type { FdList } from '../protocol/fd-list.ts';

/**
 * A connected stream that carries descriptors, as recvmsg(2) and sendmsg(2) have it. A socket in a daemon, memory in a
 * test: the same session runs over both. Nothing blocks.
 */
export interface Channel {
  /**
   * Receives up to `lengthBytes` into `target` at `at`, and sets `fds` to the descriptors that came with them.
   * Answers the number of bytes, 0 when nothing has come, -1 when the peer has hung up or the stream is broken.
   */
  receive(target: Uint8Array, at: number, lengthBytes: number, fds: FdList): number;
  /**
   * Sends from `source` at `at`; duplicates of `fds` go with the first byte. Answers how many bytes were taken, 0 when the
   * peer's buffer is full (then no descriptor was sent), -1 when the peer is gone.
   */
  send(source: Uint8Array, at: number, lengthBytes: number, fds: FdList): number;
  close(): void;
  /** Readable when `receive` has something to answer: what the reactor sleeps on. */
  readonly wakeFd?: number;
}

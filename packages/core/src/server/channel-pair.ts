import type { CloseFd, FdList } from '../protocol/fd-list.ts';
import type { Channel } from './channel.ts';

interface Piece {
  readonly bytes: Uint8Array;
  taken: number;
  fds: number[];
}

const WHOLE_BYTES = 32 * 1024;

export interface ChannelPairOptions {
  /** Bytes that an end holds before `send` to it answers 0. */
  readonly capacityBytes?: number;
  /** dup(2): what the receiver gets of a descriptor sent. Without it the same number: the sender has given it away. */
  readonly duplicate?: (fd: number) => number;
  /** Ends descriptors that were never received. */
  readonly closeFd?: CloseFd;
}

/**
 * Two ends of a stream in memory, for tests and in-process clients. As with a real socket, a receive ends after the piece
 * that carried descriptors, and they are handed over with the first byte received of their piece.
 */
export function channelPair(options: ChannelPairOptions = {}): [MemoryChannel, MemoryChannel] {
  const left = new MemoryChannel(options);
  const right = new MemoryChannel(options);
  left.peer = right;
  right.peer = left;
  return [left, right];
}

export class MemoryChannel implements Channel {
  readonly options: ChannelPairOptions;
  peer: MemoryChannel | null = null;
  closed = false;
  #incoming: Piece[] = [];
  #incomingBytes = 0;

  constructor(options: ChannelPairOptions) {
    this.options = options;
  }

  receive(target: Uint8Array, at: number, lengthBytes: number, fds: FdList): number {
    fds.count = 0;
    let copied = 0;
    while (copied < lengthBytes && this.#incoming.length > 0) {
      const piece = this.#incoming[0]!;
      const hadFds = piece.fds.length > 0;
      for (const fd of piece.fds) fds.fds[fds.count++] = fd;
      piece.fds = [];
      const count = Math.min(lengthBytes - copied, piece.bytes.length - piece.taken);
      target.set(piece.bytes.subarray(piece.taken, piece.taken + count), at + copied);
      piece.taken += count;
      copied += count;
      if (piece.taken === piece.bytes.length) this.#incoming.shift();
      if (hadFds) break;
    }
    this.#incomingBytes -= copied;
    if (copied > 0) return copied;
    return this.closed || (this.peer?.closed ?? true) ? -1 : 0;
  }

  send(source: Uint8Array, at: number, lengthBytes: number, fds: FdList): number {
    const peer = this.peer;
    if (this.closed || peer === null || peer.closed) return -1;
    const room = (this.options.capacityBytes ?? 4 * 1024 * 1024) - peer.#incomingBytes;
    const whole = lengthBytes <= room || peer.#incomingBytes === 0;
    // As the kernel's: what fits into one of its buffers is taken whole or not at all.
    if (!whole && (lengthBytes <= WHOLE_BYTES || room <= 0)) return 0;
    const count = whole ? lengthBytes : room;
    const sent: number[] = [];
    for (let i = 0; i < fds.count; i++) sent.push(this.options.duplicate?.(fds.fds[i]!) ?? fds.fds[i]!);
    peer.#incoming.push({ bytes: source.slice(at, at + count), taken: 0, fds: sent });
    peer.#incomingBytes += count;
    return count;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const piece of this.#incoming) for (const fd of piece.fds) this.options.closeFd?.(fd);
    this.#incoming = [];
    this.#incomingBytes = 0;
  }
}

import { constants } from 'node:os';
import { FileType } from '../constants.ts';
import { OpenFile } from './descriptors.ts';

const { EAGAIN, ECONNRESET, EPIPE } = constants.errno;

/** Default of net.core.wmem_default; a single buffer holds at most about half of it. */
const capacityBytes = 212_992;
const bufferBytes = capacityBytes / 2 - 64;

/** One of the kernel's socket buffers: fds are with the first byte that is left of it. */
interface SocketBuffer {
  readonly bytes: Uint8Array;
  start: number;
  files: OpenFile[];
}

export interface Received {
  readonly bytes: number;
  readonly files: readonly OpenFile[];
}

/** One end of a UNIX stream. */
export class FakeStream extends OpenFile {
  readonly type = FileType.socket;
  peer: FakeStream | null = null;
  #buffers: SocketBuffer[] = [];
  #queuedBytes = 0;
  /** The peer closed without having read everything. */
  #reset = false;

  static pair(): [FakeStream, FakeStream] {
    const [a, b] = [new FakeStream(), new FakeStream()];
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  override get readable(): boolean {
    return this.#buffers.length > 0 || this.peer === null;
  }

  override get writable(): boolean {
    return this.peer === null || this.peer.#queuedBytes < capacityBytes;
  }

  send(source: Uint8Array, files: readonly OpenFile[]): number {
    const { peer } = this;
    if (peer === null) return -EPIPE;
    let sent = 0;
    while (sent < source.length && peer.#queuedBytes < capacityBytes) {
      const bytes = source.slice(sent, sent + bufferBytes);
      peer.#buffers.push({ bytes, start: 0, files: sent === 0 ? files.map((file) => file.retain()) : [] });
      peer.#queuedBytes += bytes.length;
      sent += bytes.length;
    }
    return sent === 0 ? -EAGAIN : sent;
  }

  /**
   * As unix_stream_read_generic: buffers are glued together until the room is used up, or after the one that carries
   * fds. The caller takes over the references to the files.
   */
  receive(target: Uint8Array, peek: boolean): Received | number {
    if (this.#buffers.length === 0) return this.#atEnd();
    const files: OpenFile[] = [];
    let bytes = 0;
    for (let index = 0; index < this.#buffers.length && bytes < target.length && files.length === 0; ) {
      const buffer = this.#buffers[index]!;
      const end = Math.min(buffer.bytes.length, buffer.start + target.length - bytes);
      target.set(buffer.bytes.subarray(buffer.start, end), bytes);
      bytes += end - buffer.start;
      files.push(...buffer.files.map((file) => (peek ? file.retain() : file)));
      if (peek) index++;
      else this.#consume(buffer, end);
    }
    return { bytes, files };
  }

  #consume(buffer: SocketBuffer, end: number): void {
    this.#queuedBytes -= end - buffer.start;
    buffer.start = end;
    buffer.files = [];
    if (end === buffer.bytes.length) this.#buffers.shift();
  }

  #atEnd(): number {
    if (this.peer !== null) return -EAGAIN;
    if (!this.#reset) return 0;
    this.#reset = false;
    return -ECONNRESET;
  }

  /** Nothing comes in or goes out any more, and what came is thrown away. */
  hangUp(): void {
    this.#discard();
    if (this.peer !== null) this.peer.peer = null;
    this.peer = null;
  }

  override released(): void {
    if (this.peer !== null) this.peer.#reset = this.#buffers.length > 0;
    this.hangUp();
  }

  #discard(): void {
    for (const buffer of this.#buffers) for (const file of buffer.files) file.release();
    this.#buffers = [];
  }
}

export class FakeListener extends OpenFile {
  readonly type = FileType.socket;
  readonly #backlog: FakeStream[] = [];
  closed = false;

  override get readable(): boolean {
    return this.#backlog.length > 0;
  }

  /** The client's end. */
  connect(): FakeStream {
    const [client, server] = FakeStream.pair();
    this.#backlog.push(server.retain());
    return client;
  }

  /** The server's end; the caller takes over the reference. */
  accept(): FakeStream | undefined {
    return this.#backlog.shift();
  }

  override released(): void {
    this.closed = true;
    for (const stream of this.#backlog) stream.release();
  }
}

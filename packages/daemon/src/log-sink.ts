import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Native } from '@sidecard/native';

/** Kept for a reader that is slow, bytes; what is beyond is dropped, since a device never waits for its log. */
const maxBacklogBytes = 1024 * 1024;
const retryMs = 100;

/**
 * Log lines to a descriptor whose reader may be slow, stuck or gone: no write blocks, in this thread or another (a thread that hangs in
 * write(2) keeps the process from ending), and no error ends anything.
 */
export class LogSink {
  readonly #native: Pick<Native, 'send'>;
  readonly #fd: number;
  readonly #socket: boolean;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(native: Pick<Native, 'send'>, fd: number) {
    this.#native = native;
    this.#socket = isSocket(fd);
    this.#fd = this.#socket ? fd : nonBlocking(fd);
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#backlogBytes + bytes.length > maxBacklogBytes) return;
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
    this.flush();
  }

  /** Writes what can be written now. */
  flush(): void {
    while (this.#backlog.length > 0) {
      const bytes = this.#backlog[0]!;
      const count = this.#put(bytes);
      if (count < 0) break;
      this.#backlogBytes -= count;
      if (count === bytes.length) this.#backlog.shift();
      else this.#backlog[0] = bytes.subarray(count);
    }
    if (this.#backlog.length > 0) this.#timer ??= setTimeout(() => this.#retry(), retryMs).unref();
  }

  #retry(): void {
    this.#timer = null;
    this.flush();
  }

  /** Bytes that are dealt with; -1 when it would block. */
  #put(bytes: Buffer): number {
    if (this.#socket) {
      const sent = this.#native.send(this.#fd, bytes, 0, bytes.length, null);
      return sent >= 0 ? sent : sent === -11 ? -1 : bytes.length;
    }
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      // A full disk, or nobody who reads: the line is lost, and the device goes on.
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? -1 : bytes.length;
    }
  }
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/** The same pipe or file, opened anew: O_NONBLOCK set on `fd` itself would be there for everybody who shares it, a shell for instance. */
function nonBlocking(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND);
  } catch {
    // Somebody else's: it is used as it is.
    return fd;
  }
}

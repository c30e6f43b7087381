import type { LineSocket } from './line-socket.ts';

export type QmpArguments = Record<string, unknown>;

export interface QmpEvent {
  event: string;
  data?: Record<string, unknown>;
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** QEMU's monitor: one JSON object per line, replies matched by id, events in between. */
export class Qmp {
  readonly events: QmpEvent[] = [];
  readonly #lines: LineSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #eventWaiters = new Map<(event: QmpEvent) => void, (error: Error) => void>();
  #lastId = 0;
  #closed: Error | undefined;

  constructor(lines: LineSocket) {
    this.#lines = lines;
    lines.onLine = (line) => this.#received(line);
    // Commands are taken only after the capabilities are agreed; QEMU queues what comes at once.
    void this.execute('qmp_capabilities').catch(() => {});
  }

  execute(command: string, args: QmpArguments = {}): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#lines.send(JSON.stringify({ execute: command, arguments: args, id }));
    });
  }

  /** The next event of that name that matches; ask before the command that causes it. @throws Error when QEMU goes before. */
  event(name: string, matches: (event: QmpEvent) => boolean = () => true): Promise<QmpEvent> {
    const event = new Promise<QmpEvent>((resolve, reject) => {
      if (this.#closed) reject(this.#closed);
      const waiter = (event: QmpEvent): void => {
        if (event.event !== name || !matches(event)) return;
        this.#eventWaiters.delete(waiter);
        resolve(event);
      };
      this.#eventWaiters.set(waiter, reject);
    });
    // Who asked for it may not wait for it yet, or not any more.
    event.catch(() => {});
    return event;
  }

  /** QEMU is gone: nothing that waits is answered any more. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    for (const reject of this.#eventWaiters.values()) reject(error);
    this.#waiting.clear();
    this.#eventWaiters.clear();
    this.#lines.close();
  }

  #received(line: string): void {
    const message = JSON.parse(line) as QmpEvent & { id?: number; return?: unknown; error?: { desc: string } };
    if (message.event) {
      this.events.push(message);
      for (const waiter of [...this.#eventWaiters.keys()]) waiter(message);
    }
    if (message.id === undefined) return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error) waiting?.reject(new Error(`QEMU: ${message.error.desc}`));
    else waiting?.resolve(message.return);
  }
}

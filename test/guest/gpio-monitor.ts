import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Guest } from '@sidecard/guest';

/** What gpiomon tells of a line. */
export interface LineEvent {
  /** As Linux names it: IIN3. */
  readonly line: string;
  readonly level: 0 | 1;
  /** On the guest's monotonic clock. */
  readonly atMs: number;
}

/**
 * gpiomon in a guest, one after the other. What it prints comes at once, by a virtio-serial port of its own: the guest's agent answers only when a
 * command has ended.
 */
export class GpioMonitor {
  /** Of the gpiomon that was started last. */
  readonly events: LineEvent[] = [];
  readonly #name: string;
  readonly #folder: string;
  readonly #server: Server;
  #line: (line: string) => void = () => {};
  #running: { readonly guest: Guest; readonly ended: Promise<unknown> } | null = null;
  #wanted: { readonly count: number; resolve(): void } | null = null;

  private constructor(name: string, folder: string, server: Server) {
    this.#name = name;
    this.#folder = folder;
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      createInterface(socket).on('line', (line) => this.#line(line));
      socket.on('error', () => {});
    });
  }

  /** Waits for QEMU at a socket in a folder of its own, which is gone when it is closed. */
  static listen(name = 'events'): Promise<GpioMonitor> {
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-gpio-'));
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(socketIn(folder), () => resolve(new GpioMonitor(name, folder, server)));
    });
  }

  /** What QEMU needs for it. */
  get args(): string[] {
    const port = `virtserialport,chardev=${this.#name},name=${this.#name}`;
    return ['-chardev', `socket,id=${this.#name},path=${socketIn(this.#folder)}`, '-device', port];
  }

  /** Watches these lines; resolves when gpiomon does. */
  async start(guest: Guest, chip: string, lines: readonly string[]): Promise<void> {
    this.events.length = 0;
    const command = `gpiomon --banner --unquoted -c ${chip} --format '%l %e %S' ${lines.join(' ')}`;
    const ended = guest.run(`echo $$ >/run/${this.#name}; exec ${command} >${this.#port}`, { timeoutMs: 300_000 });
    this.#running = { guest, ended: ended.catch(() => {}) };
    const failed = ended.then(({ stdout }) => Promise.reject(new Error(`gpiomon has ended: ${stdout}`)));
    const ready = new Promise<void>((resolve) => {
      this.#line = (line) => {
        if (line.startsWith('Monitoring ')) resolve();
        else this.#event(line);
      };
    });
    failed.catch(() => {});
    await Promise.race([ready, failed]);
  }

  /** Resolves when gpiomon has told of so many events. @throws when that takes too long */
  async seen(count: number, timeoutMs = 20_000): Promise<void> {
    if (this.events.length >= count) return;
    let timer: NodeJS.Timeout | undefined;
    const come = new Promise<void>((resolve) => {
      this.#wanted = { count, resolve };
    });
    const late = new Promise<never>((_, reject) => {
      const complain = () => reject(new Error(`${this.events.length} events and not ${count} after ${timeoutMs} ms`));
      timer = setTimeout(complain, timeoutMs);
    });
    await Promise.race([come, late]).finally(() => clearTimeout(timer));
  }

  /** Ends gpiomon, and answers all that it told. */
  async stop(): Promise<readonly LineEvent[]> {
    const { guest, ended } = this.#running!;
    await guest.run(`kill $(cat /run/${this.#name})`);
    return this.gone(guest, ended);
  }

  /** Waits for a gpiomon that ends by itself, its card being gone, and answers all that it told. */
  async gone(guest = this.#running!.guest, ended = this.#running!.ended): Promise<readonly LineEvent[]> {
    await ended;
    const last = new Promise<void>((resolve) => {
      const before = this.#line;
      this.#line = (line) => (line === 'end' ? resolve() : before(line));
    });
    await guest.check(`echo end >${this.#port}`);
    await last;
    return [...this.events];
  }

  close(): void {
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A shell's way to the port. */
  get #port(): string {
    return `/dev/$(basename $(dirname $(grep -lx ${this.#name} /sys/class/virtio-ports/*/name)))`;
  }

  #event(text: string): void {
    const [, line, edge, seconds] = /^(\S+) ([12]) ([\d.]+)$/.exec(text) ?? [];
    if (line === undefined) throw new Error(`gpiomon printed: ${text}`);
    this.events.push({ line, level: edge === '1' ? 1 : 0, atMs: Number(seconds) * 1000 });
    if (this.#wanted === null || this.events.length < this.#wanted.count) return;
    this.#wanted.resolve();
    this.#wanted = null;
  }
}

function socketIn(folder: string): string {
  return join(folder, 'events');
}

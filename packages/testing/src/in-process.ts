import {
  channelPair,
  DeviceServer,
  FdList,
  type Host,
  type Log,
  type MemoryChannel,
  type PciDevice,
  SocketChannel,
  StateArena,
} from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { RecordedLog } from './recorded-log.ts';
import type { ClientTransport } from './transport.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface InProcessOptions {
  /** The real one, or its twin in memory. */
  readonly native: Native;
  readonly arena?: StateArena;
  readonly log?: Log;
  readonly drainMs?: number;
}

/** A device with its server in this process: each `turn` of a connection gives it time, nothing else does. Its clock is virtual. */
export class InProcessServer {
  readonly native: Native;
  readonly clock = new VirtualClock();
  readonly log: Log;
  readonly arena: StateArena;
  readonly server: DeviceServer;
  /** What the device's own code has thrown, oldest first. The server has logged it and goes on. */
  readonly failures: unknown[] = [];
  #listeningFd = -1;

  constructor(options: InProcessOptions, create: (host: Host) => PciDevice) {
    const { native, drainMs } = options;
    this.native = native;
    this.log = options.log ?? new RecordedLog();
    this.arena = options.arena ?? StateArena.alloc();
    const { clock, log, arena } = this;
    const failed = (error: unknown) => void this.failures.push(error);
    const drain = drainMs === undefined ? {} : { drainMs };
    this.server = new DeviceServer({ native, clock, log, arena, failed, ...drain }, create);
  }

  /**
   * Connects a client; null when the server takes none now. `capacityBytes`: of each direction of the connection. `turn` gives the server time while
   * the client waits.
   */
  connect(capacityBytes?: number, turn = () => this.server.turn()): InProcessTransport | null {
    const { native } = this;
    const [client, end] = channelPair({
      ...(capacityBytes !== undefined && { capacityBytes }),
      duplicate: (fd) => native.dup(fd),
      closeFd: (fd) => native.close(fd),
    });
    return this.server.attach(end) ? new InProcessTransport(client, turn) : null;
  }

  /** Listens on a UNIX socket, for clients that `turn` accepts and serves. @throws when the path cannot be had. */
  listen(path: string): void {
    this.#listeningFd = this.native.listen(path, 0o600, 1);
  }

  /** Gives the device time once. True when it did something. */
  turn(): boolean {
    const { native } = this;
    const fd = this.#listeningFd < 0 ? -1 : native.accept(this.#listeningFd);
    if (fd >= 0) this.server.attach(new SocketChannel(native, fd));
    return this.server.turn() || fd >= 0;
  }

  /** Lets the server work until nothing is left to do. */
  settle(): void {
    for (let turns = 0; this.server.turn(); turns++) {
      if (turns > 1_000_000) throw new Error('the server never comes to rest');
    }
  }

  async close(): Promise<void> {
    if (this.#listeningFd >= 0) this.native.close(this.#listeningFd);
    this.#listeningFd = -1;
    await this.server.close();
  }
}

/** The client's end of an in-process connection. */
export class InProcessTransport implements ClientTransport {
  readonly channel: MemoryChannel;
  readonly #turn: () => boolean;
  readonly #sent = new FdList();
  readonly #received = new FdList();

  constructor(channel: MemoryChannel, turn: () => boolean) {
    this.channel = channel;
    this.#turn = turn;
  }

  send(bytes: Uint8Array, fds: readonly number[]): number {
    this.#sent.count = fds.length;
    this.#sent.fds.set(fds);
    return this.channel.send(bytes, 0, bytes.length, this.#sent);
  }

  receive(target: Uint8Array, fds: number[]): number {
    const count = this.channel.receive(target, 0, target.length, this.#received);
    for (let i = 0; i < this.#received.count; i++) fds.push(this.#received.fds[i]!);
    this.#received.count = 0;
    return count;
  }

  turn(): boolean {
    return this.#turn();
  }

  close(): void {
    this.channel.close();
  }
}

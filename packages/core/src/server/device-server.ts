import type { Native } from '@sidecard/native';
import { ClientMemory } from '../memory/client-memory.ts';
import type { Clock, Host, Log, PciDevice } from '../pci/device.ts';
import { PciFunction } from '../pci/function.ts';
import { type EventFds, InterruptController } from '../pci/interrupts.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import { type PollMode, Reactor, type ReactorWorld } from '../reactor/reactor.ts';
import type { StateArena } from '../state/arena.ts';
import type { Channel } from './channel.ts';
import { DeferredWork } from './deferred-work.ts';
import { type ServerCounts, Session, SessionBuffers } from './session.ts';
import { SocketChannel } from './socket-channel.ts';
import { TwinSocket } from './twin-socket.ts';

/** QEMU gives up 5 s after it has begun to wait (x-msg-timeout). */
const DRAIN_MS = 4000;
/** A client that has hung up may have left this many reads behind. */
const LAST_READS = 1000;

export interface DeviceServerOptions {
  /** Functions on fds: the real addon, or its twin in memory. */
  readonly native: Native;
  readonly clock: Clock;
  readonly log: Log;
  readonly arena: StateArena;
  /** What runs the reactor. Without it nothing runs by itself, and a test calls `turn`. */
  readonly world?: ReactorWorld;
  readonly poll?: PollMode;
  /** How long an answer may wait for I/O in flight, counted from the oldest unanswered message, ms. */
  readonly drainMs?: number;
  /** Told of what the device's own code has thrown, beside the log: the server goes on, and a test is not to pass. */
  readonly failed?: (error: unknown) => void;
}

/**
 * One device with its function, its view of guest memory and whoever is connected, and no socket of its own: channels are handed to
 * it, and `turn` does what there is to do. The rim drives it from a socket and a reactor, a test by hand:
 *
 *     const server = new DeviceServer(options, (host) => new Edu(host));
 *     const [client, end] = channelPair();
 *     server.attach(end);
 *     client.send(message, 0, message.length, fds);
 *     while (server.turn());
 *     client.receive(reply, 0, reply.length, fds);
 */
export class DeviceServer {
  readonly device: PciDevice;
  readonly function: PciFunction;
  readonly memory: ClientMemory;
  readonly interrupts: InterruptController;
  readonly reactor: Reactor;
  readonly counts: ServerCounts = { clients: 0, refused: 0, messages: 0 };
  readonly #options: DeviceServerOptions;
  readonly #buffers: SessionBuffers;
  readonly #deferred = new DeferredWork();
  readonly #workFailed = (error: unknown) => this.#failed(error);
  #session: Session | null = null;
  #forgetSession: (() => void) | null = null;
  #forgetTwin: (() => void) | null = null;

  constructor(options: DeviceServerOptions, create: (host: Host) => PciDevice) {
    this.#options = options;
    const { native, arena, log } = options;
    this.#buffers = new SessionBuffers((fd) => native.close(fd));
    this.memory = new ClientMemory({ native });
    this.memory.onDrained = (iova, sizeBytes) => this.#session?.deferrals.drained(iova, sizeBytes);
    this.interrupts = new InterruptController(eventFds(native));
    this.reactor = new Reactor(options.world ?? manualWorld, {
      poll: options.poll ?? 'adaptive',
      afterWork: () => this.#afterWork(),
      failed: this.#workFailed,
    });
    this.device = create(this.#host());
    this.function = new PciFunction(this.device, {
      interrupts: this.interrupts,
      arena,
      log,
      functionReset: () => {
        if (this.#session !== null) this.#session.functionReset = true;
      },
      busMasterChanged: (on) => {
        this.memory.busMaster = on;
      },
    });
    // The arena may be that of a predecessor, with a driver that has set everything up.
    this.memory.busMaster = this.function.busMaster;
    this.reactor.add(this.memory);
  }

  /** True while a client is connected. */
  get connected(): boolean {
    return this.#session !== null;
  }

  /** DMA messages that the client has yet to answer. */
  get outstandingDma(): number {
    return this.#session?.dma?.outstanding ?? 0;
  }

  /** Takes a client; false, and the channel is closed, while another is connected that has not hung up. */
  attach(channel: Channel): boolean {
    // QEMU's quick re-plug connects anew before the old connection has been seen to end: look once more.
    for (let i = 0; i < LAST_READS && this.#session?.poll(); i++) this.#afterWork();
    if (this.#session !== null) {
      this.counts.refused++;
      this.#options.log.warn({}, 'A second client was refused: one at a time');
      channel.close();
      return false;
    }
    const { native, arena, clock, log, drainMs, failed } = this.#options;
    const session = new Session({
      channel,
      buffers: this.#buffers,
      function: this.function,
      memory: this.memory,
      arena,
      clock,
      log,
      closeFd: (fd) => native.close(fd),
      drainMs: drainMs ?? DRAIN_MS,
      counts: this.counts,
      failed: failed ?? (() => {}),
      makeTwin: (one) => this.#makeTwin(one),
      ended: (reason) => this.#disconnected(reason),
    });
    this.#session = session;
    this.#forgetSession = this.reactor.add(session, true);
    this.counts.clients++;
    log.info({}, 'A client has connected');
    return true;
  }

  /** Looks at every source once and runs deferred work. True when there was anything to do. */
  turn(): boolean {
    return this.reactor.turn();
  }

  /** Drains and quiesces the device, then disconnects the client and releases everything. */
  async close(): Promise<void> {
    const forget = this.#leaveTheDeaf();
    await this.device.quiesce?.();
    forget();
    this.#session?.flush();
    this.#session?.close('the daemon ends');
    this.reactor.stop();
  }

  /**
   * While the device drains: a client that answers no DMA message (a machine that is paused) would keep it from ending, so it is disconnected.
   * What it had written and what was acknowledged is not touched by that. Answers what ends the watch.
   */
  #leaveTheDeaf(): () => void {
    const { clock, drainMs = DRAIN_MS } = this.#options;
    const answers = this.#session?.dma?.answers;
    const timer = clock.setTimer(drainMs, () => {
      const dma = this.#session?.dma ?? null;
      if (dma !== null && dma.outstanding > 0 && dma.answers === answers) {
        this.#session?.close('it answers no DMA message, and the daemon ends');
      }
      forget = this.#leaveTheDeaf();
    });
    let forget = () => timer.cancel();
    return () => forget();
  }

  #afterWork(): boolean {
    const any = this.#deferred.run(this.#workFailed);
    const session = this.#session;
    if (session === null) return any;
    const settled = session.settle();
    session.flush();
    return any || settled;
  }

  #disconnected(reason: string): void {
    this.#session = null;
    this.#forgetSession?.();
    this.#forgetTwin?.();
    this.#forgetTwin = null;
    try {
      this.function.reset('disconnect');
    } catch (error) {
      this.#failed(error);
    }
    this.memory.disconnect();
    this.#options.log.info({ reason }, 'The client has gone');
  }

  #makeTwin(session: Session): TwinSocket | null {
    const { native, log } = this.#options;
    try {
      const [ours, theirs] = native.socketPair();
      const closeFd = (fd: number) => native.close(fd);
      const twin = new TwinSocket(session, new SocketChannel(native, ours), theirs, closeFd);
      this.#forgetTwin = this.reactor.add(twin, true);
      return twin;
    } catch (error) {
      log.warn({ error }, 'No twin socket: requests go over the connection itself');
      return null;
    }
  }

  #host(): Host {
    const { clock, arena, log } = this.#options;
    const { memory, interrupts, reactor } = this;
    const deferred = this.#deferred;
    return {
      memory,
      interrupt: interrupts,
      clock: {
        now: () => clock.now(),
        wallTime: () => clock.wallTime(),
        setTimer: (delayMs, callback) =>
          clock.setTimer(delayMs, () => {
            try {
              callback();
            } catch (error) {
              this.#failed(error);
            }
            reactor.kick();
          }),
      },
      state: arena,
      log,
      get busMaster() {
        return memory.busMaster;
      },
      defer: (work) => {
        deferred.add(work);
        reactor.kick();
      },
      poll: (source: PollSource) => reactor.add(source),
      fail: (reason) => {
        log.error({ reason }, 'The device cannot go on');
        interrupts.fail();
      },
    };
  }

  #failed(error: unknown): void {
    this.#options.failed?.(error);
    this.#options.log.error({ error }, 'Work of the device failed: please report it');
  }
}

function eventFds(native: Native): EventFds {
  return {
    signal: (fd) => void native.signal(fd),
    drain: (fd) => native.drain(fd),
    close: (fd) => void native.close(fd),
    watch: (fd, readable) => {
      try {
        const watch = native.watch(fd, 'read', readable);
        return () => watch.close();
      } catch {
        // A client that sends a regular file for an eventfd gets no interrupts of it.
        return () => {};
      }
    },
  };
}

/** Nothing runs by itself. */
const manualWorld: ReactorWorld = {
  cpus: 1,
  yieldCpu: () => {},
  nowUs: () => 0,
  involuntarySwitches: () => 0,
  watch: () => () => {},
  soon: () => {},
  later: () => () => {},
};

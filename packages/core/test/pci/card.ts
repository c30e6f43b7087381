import {
  type Bar,
  type EventFds,
  InterruptController,
  IrqIndex,
  type PciDevice,
  PciFunction,
  type PciIdentity,
  type ResetKind,
  StateArena,
} from '@sidecard/core';
import { guest } from '../bits/guest.ts';

const EPIPE = 32;

/** Eventfds of a client that exists only here: which are open, how often each was signalled. */
export class FakeEventFds implements EventFds {
  readonly open = new Set<number>();
  readonly counts = new Map<number, number>();
  readonly watched = new Map<number, () => void>();
  readonly #ended = new Set<number>();
  #next = 10;

  make(): number {
    const fd = this.#next++;
    this.open.add(fd);
    return fd;
  }
  signal(fd: number): void {
    if (!this.open.has(fd)) throw new Error(`signal of the closed fd ${fd}`);
    this.counts.set(fd, (this.counts.get(fd) ?? 0) + 1);
  }
  drain(fd: number): number {
    if (!this.open.has(fd)) throw new Error(`drain of the closed fd ${fd}`);
    if (this.#ended.has(fd)) return -EPIPE;
    return this.take(fd);
  }
  close(fd: number): void {
    if (!this.open.delete(fd)) throw new Error(`fd ${fd} is closed twice`);
    if (this.watched.has(fd)) throw new Error(`fd ${fd} is closed while it is watched`);
  }
  watch(fd: number, readable: () => void): () => void {
    this.watched.set(fd, readable);
    return () => this.watched.delete(fd);
  }
  /** It is a pipe, and the client's end is closed: readable for ever, with nothing in it. */
  hangUp(fd: number): void {
    this.#ended.add(fd);
    for (let times = 0; times < 3; times++) this.watched.get(fd)?.();
  }
  /** How often it was signalled since last asked. */
  take(fd: number): number {
    const count = this.counts.get(fd) ?? 0;
    this.counts.set(fd, 0);
    return count;
  }
  /** The client writes it, and the event loop sees that. */
  clientWrites(fd: number): void {
    this.counts.set(fd, 1);
    this.watched.get(fd)?.();
  }
}

export const flags = { none: 1, bool: 2, eventFd: 4, mask: 8, unmask: 0x10, trigger: 0x20 };
const log = { debug() {}, info() {}, warn() {}, error() {} };

export interface CardOptions {
  readonly identity?: Partial<PciIdentity>;
  readonly bars?: { readonly [index: number]: Bar };
  readonly arena?: StateArena;
}

/** A device in its function, with the client's side: region accesses and SET_IRQS. */
export function insertCard({ identity = {}, bars = {}, arena = StateArena.alloc() }: CardOptions = {}) {
  const events: string[] = [];
  let asserted: () => boolean = () => false;
  const device = {
    identity: { vendor: 0x1234, device: 0x11e8, classCode: 0x010802, interrupts: { intx: true }, ...identity },
    bars,
    level: false as boolean,
    inFlight: 0,
    interruptLevel: () => asserted(),
    reset(kind: ResetKind): void {
      events.push(`device reset ${kind}`);
      if (kind !== 'disconnect') this.level = false;
    },
  } satisfies PciDevice & { level: boolean };
  asserted = () => device.level;
  const eventFds = new FakeEventFds();
  const interrupts = new InterruptController(eventFds);
  const card = new PciFunction(device, {
    interrupts,
    arena,
    log,
    functionReset: () => events.push('function reset'),
    busMasterChanged: (on) => events.push(`bus master ${on}`),
  });
  const config = guest(card.config);
  const set = (
    index: number,
    flag: number,
    start: number,
    count: number,
    fds: readonly number[] = [],
    data: readonly number[] = [],
  ) => interrupts.set(index, flag, start, count, new Uint8Array([9, ...data]), 1, data.length, fds);
  /** What the client does to have an interrupt: an eventfd for each vector. */
  const listen = (index: number, start: number, count: number): number[] => {
    const fds = Array.from({ length: count }, () => eventFds.make());
    if (set(index, flags.eventFd | flags.trigger, start, count, fds) !== 0) throw new Error('SET_IRQS was refused');
    return fds;
  };
  return {
    card,
    device,
    interrupts,
    eventFds,
    config,
    events,
    set,
    listen,
    listenIntx(): number {
      return listen(IrqIndex.intx, 0, 1)[0]!;
    },
    /** As a driver finds a capability; 0 when there is none. */
    capability(id: number): number {
      let at = config.read(0x34, 1);
      while (at !== 0 && config.read(at, 1) !== id) at = config.read(at + 1, 1);
      return at;
    },
    extendedCapability(id: number): number {
      let at = 0x100;
      while (at !== 0 && config.read(at, 2) !== id) at = config.read(at + 2, 2) >>> 4;
      return at;
    },
    masterBus(): void {
      config.write(4, 2, config.read(4, 2) | 4);
    },
  };
}

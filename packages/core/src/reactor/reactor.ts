import type { PollSource } from './poll-source.ts';
import { MAX_WINDOW_US, SpinWindow } from './spin-window.ts';

/** What the reactor needs of the world; the rim gives the real one, a test a virtual one. */
export interface ReactorWorld {
  /** Monotonic, whole microseconds, modulo 2**30: a small integer, since a double would be allocated at each look. */
  nowUs(): number;
  /** How often the scheduler has taken the processor away (ru_nivcsw). */
  involuntarySwitches(): number;
  /** Processors that this process may use. */
  readonly cpus: number;
  /** Lets others run that wait for this processor (sched_yield). */
  yieldCpu(): void;
  /** Calls `readable` on the event loop while the fd is readable, until the returned function is called. */
  watch(fd: number, readable: () => void): () => void;
  /** Once, after timers, promises and other events have had their turn. */
  soon(callback: () => void): void;
  /** Once, about 1 ms later; the returned function takes it back. */
  later(callback: () => void): () => void;
}

/**
 * `adaptive` looks on for a short while after work, where that has paid; `dedicated` never sleeps: a core for this device (--poll);
 * `never` sleeps as soon as there is nothing.
 */
export const pollModes = ['adaptive', 'dedicated', 'never'] as const;
export type PollMode = (typeof pollModes)[number];

export interface ReactorOptions {
  readonly poll?: PollMode;
  /** Called after a source had something to do: deferred work, answers that waited. True when that did anything. */
  readonly afterWork?: () => boolean;
  /** A source or deferred work threw: our mistake, and the reactor goes on. */
  readonly failed?: (error: unknown) => void;
}

/** Sources whose look is a system call are looked at every so many turns while another source is the busy one. */
const SLOW_EVERY = 16;
/** Turns between two looks at the clock. */
const CLOCK_EVERY = 16;
/** Finds between two looks at the scheduler's count. */
const SWITCHES_EVERY = 32;
/** Longest stay away from timers and promises, us. */
const YIELD_US = 1000;

interface Entry {
  readonly source: PollSource;
  readonly slow: boolean;
  readonly stopWatching: (() => void) | null;
}

/**
 * Drives the sources of one device. Woken by an fd, it looks at all of them until nothing has come for a short adaptive
 * while, yields to timers and promises at bounded intervals, and sleeps on the event loop at no cost. Nothing is allocated per turn.
 */
export class Reactor {
  readonly window: SpinWindow;
  readonly #world: ReactorWorld;
  readonly #dedicated: boolean;
  readonly #oneCpu: boolean;
  readonly #afterWork: () => boolean;
  readonly #failed: (error: unknown) => void;
  readonly #wake = () => this.#woken();
  readonly #resume = () => this.#resumed();
  #entries: readonly Entry[] = [];
  /** Who had something last. */
  #hot: Entry | null = null;
  #turns = 0;
  #finds = 0;
  #switches = 0;
  #running = false;
  #scheduled = false;
  #asleep = true;
  #armed = false;
  #stopped = false;
  #sleptAtUs = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(world: ReactorWorld, options: ReactorOptions = {}) {
    this.#world = world;
    this.#dedicated = options.poll === 'dedicated';
    this.#afterWork = options.afterWork ?? (() => false);
    this.#failed = options.failed ?? (() => {});
    this.window = new SpinWindow(options.poll !== 'never');
    this.#oneCpu = world.cpus === 1;
    this.#sleptAtUs = world.nowUs();
    this.#switches = world.involuntarySwitches();
  }

  get asleep(): boolean {
    return this.#asleep;
  }

  /**
   * Looks at a source from now on, until the returned function is called. `slow`: its look is a system call, so it is looked
   * at every 16th turn while another source is the busy one.
   */
  add(source: PollSource, slow = false): () => void {
    const stopWatching = source.wakeFd === undefined ? null : this.#world.watch(source.wakeFd, this.#wake);
    const entry: Entry = { source, slow, stopWatching };
    this.#disarm();
    this.#entries = [...this.#entries, entry];
    this.kick();
    return () => {
      if (!this.#entries.includes(entry)) return;
      this.#disarm();
      this.#entries = this.#entries.filter((one) => one !== entry);
      if (this.#hot === entry) this.#hot = null;
      entry.stopWatching?.();
      this.kick();
    };
  }

  /** There may be work that no source's fd tells of: look soon. */
  kick(): void {
    if (this.#asleep) this.#schedule();
  }

  /** Looks at every source once, also the slow ones; for tests and for draining. True when there was anything. */
  turn(): boolean {
    this.#disarm();
    return this.#look(true);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#disarm();
    this.#cancelTimer?.();
    for (const entry of this.#entries) entry.stopWatching?.();
    this.#entries = [];
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#world.soon(this.#resume);
  }

  #resumed(): void {
    this.#scheduled = false;
    this.#cancelTimer = null;
    this.#run(false);
  }

  /** An fd is readable. While awake the turns see to it. */
  #woken(): void {
    if (this.#asleep) this.#run(true);
  }

  #run(byFd: boolean): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    const startUs = this.#world.nowUs();
    if (this.#asleep) {
      this.#asleep = false;
      this.#cancelTimer?.();
      this.#cancelTimer = null;
      if (byFd) this.window.slept(elapsedUs(this.#sleptAtUs, startUs));
      this.#disarm();
    }
    this.#spin(startUs);
    this.#running = false;
  }

  /** Looks until nothing has come for a while, then sleeps; or yields and goes on later. */
  #spin(startUs: number): void {
    let found = this.#look(true);
    let anyFound = found;
    let idleSinceUs = startUs;
    let untilClock = CLOCK_EVERY;
    let idle = false;
    while (!this.#stopped) {
      if (found) {
        if (idle) this.#foundWhileIdle();
        idle = false;
        anyFound = true;
        if (this.#sleepsAtOnce() && this.#fallAsleep()) return;
      } else if (!idle) {
        idle = true;
        if (!this.#dedicated) idleSinceUs = this.#world.nowUs();
        untilClock = this.#oneCpu || this.#windowUs(anyFound) === 0 ? 1 : CLOCK_EVERY;
      }
      if (--untilClock <= 0) {
        untilClock = this.#oneCpu ? 1 : CLOCK_EVERY;
        const nowUs = this.#world.nowUs();
        if (idle && !this.#dedicated && elapsedUs(idleSinceUs, nowUs) >= this.#windowUs(anyFound) && this.#fallAsleep())
          return;
        if (elapsedUs(startUs, nowUs) >= YIELD_US) {
          this.#schedule();
          return;
        }
      }
      if (idle && this.#oneCpu && this.window.us > 0) this.#giveWay();
      found = this.#look(false);
    }
  }

  /**
   * On one processor who brings the work runs only while we do not, so looking on means to let it run. Where that takes long, somebody else ran:
   * then it is better to sleep, and to be woken before them.
   */
  #giveWay(): void {
    const beforeUs = this.#world.nowUs();
    this.#world.yieldCpu();
    if (elapsedUs(beforeUs, this.#world.nowUs()) > MAX_WINDOW_US) this.window.preempted();
  }

  /** No second look: fds are level-triggered and arm() looks, and a look in vain is a system call too many where the window is 0. */
  #sleepsAtOnce(): boolean {
    return this.window.us === 0 && !this.#dedicated && this.#allTell() && !this.#afterWork();
  }

  /** Where doorbells come without a wake-up, sleep is 1 ms long: looking on is always worth it while there is work. */
  #windowUs(anyFound: boolean): number {
    return anyFound && this.#hasSilent() ? MAX_WINDOW_US : this.window.us;
  }

  #foundWhileIdle(): void {
    this.#finds++;
    if (this.#finds % SWITCHES_EVERY === 0 && this.#preempted()) this.window.preempted();
    else this.window.hit();
  }

  /** A processor given away counts as taken away: on one CPU `giveWay` sees it by the clock. */
  #preempted(): boolean {
    if (this.#oneCpu) return false;
    const before = this.#switches;
    this.#switches = this.#world.involuntarySwitches();
    return this.#switches !== before;
  }

  /**
   * Nothing has come for the whole window. False when a source has work after all. Fds are watched level-triggered: what came since the last look
   * wakes us at once.
   */
  #fallAsleep(): boolean {
    if (this.window.us > 0) {
      if (this.#preempted()) this.window.preempted();
      else this.window.miss();
    }
    if (!this.#arm()) return false;
    this.#asleep = true;
    this.#sleptAtUs = this.#world.nowUs();
    if (this.#hasSilent()) this.#cancelTimer = this.#world.later(this.#resume);
    return true;
  }

  /** Every source says when it has more work: by its fd, or when it is armed. */
  #allTell(): boolean {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      const { source } = entries[i]!;
      if (source.silent === true || (source.arm === undefined && source.wakeFd === undefined)) return false;
    }
    return true;
  }

  #hasSilent(): boolean {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) if (entries[i]!.source.silent === true) return true;
    return false;
  }

  #look(all: boolean): boolean {
    const entries = this.#entries;
    const slowToo = all || ++this.#turns % SLOW_EVERY === 0;
    let found = false;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.slow && !slowToo && this.#hot !== null && this.#hot !== entry) continue;
      try {
        if (!entry.source.poll()) continue;
        this.#hot = entry;
        found = true;
        this.#afterWork();
      } catch (error) {
        this.#failed(error);
      }
      // A source may have been added or removed; the next turn sees all of them.
      if (entries !== this.#entries) return true;
    }
    try {
      return this.#afterWork() || found;
    } catch (error) {
      this.#failed(error);
      return found;
    }
  }

  /** Asks every source to wake us. False, and nobody is asked any more, when one has work. */
  #arm(): boolean {
    this.#armed = true;
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      const { source } = entries[i]!;
      if (source.arm !== undefined && !source.arm()) {
        this.#disarm();
        return false;
      }
    }
    return true;
  }

  #disarm(): void {
    if (!this.#armed) return;
    this.#armed = false;
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) entries[i]!.source.disarm?.();
  }
}

function elapsedUs(from: number, to: number): number {
  return (to - from) & 0x3fff_ffff;
}

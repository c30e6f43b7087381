import type { ReactorWorld } from '../../src/reactor/reactor.ts';

/** An event loop and a clock that a test moves. Every look at the clock costs `lookUs`. */
export class VirtualWorld implements ReactorWorld {
  cpus = 2;
  timeUs = 0;
  switches = 0;
  clockReads = 0;
  lookUs = 1;
  /** What runs while the processor is given away, and for how long. */
  onYield: (() => void) | null = null;
  yields = 0;
  /** Called at each look at the clock: what happens meanwhile outside. */
  onLook: ((nowUs: number) => void) | null = null;
  readonly watched = new Map<number, () => void>();
  soonQueue: (() => void)[] = [];
  timer: (() => void) | null = null;

  nowUs(): number {
    this.clockReads++;
    this.timeUs += this.lookUs;
    this.onLook?.(this.timeUs);
    return this.timeUs;
  }

  yieldCpu(): void {
    this.yields++;
    this.onYield?.();
  }

  involuntarySwitches(): number {
    return this.switches;
  }

  watch(fd: number, readable: () => void): () => void {
    this.watched.set(fd, readable);
    return () => this.watched.delete(fd);
  }

  soon(callback: () => void): void {
    this.soonQueue.push(callback);
  }

  later(callback: () => void): () => void {
    this.timer = callback;
    return () => {
      this.timer = null;
    };
  }

  /** Runs what was asked for `soon`, as one turn of the event loop; true when there was any. */
  loop(): boolean {
    const now = this.soonQueue;
    this.soonQueue = [];
    for (const callback of now) callback();
    return now.length > 0;
  }

  /** Until nothing is asked for any more. */
  run(limit = 1000): void {
    for (let i = 0; this.loop(); i++) if (i > limit) throw new Error('never comes to rest');
  }

  wake(fd: number): void {
    this.watched.get(fd)!();
  }
}

import type { Clock, Timer } from '@sidecard/core';
import type { Levels } from './lines.ts';

/** Inputs to set, so long after the wave's beginning. */
export interface WaveStep {
  readonly ms: number;
  readonly inputs: Levels;
}

/** Timers know whole milliseconds and come late: the rest of a wait is spent awake, between the device's turns, of which there is one before every step. */
const awakeMs = 2;

/** A wave that is not over. */
interface Wave {
  stepsLeft: number;
  latestMs: number;
  readonly over: (latestMs: number) => void;
}

interface TimedStep {
  readonly atMs: number;
  readonly inputs: Levels;
  readonly wave: Wave;
}

/**
 * Sets inputs at their times by the clock. Each wave's times count from one beginning, so that no lateness adds up; and what is late comes in the
 * order of its times, whatever wave it is of.
 */
export class Waves {
  readonly #clock: Clock;
  readonly #set: (inputs: Levels) => void;
  /** All that is to come, by its time. */
  #steps: TimedStep[] = [];
  #timer: Timer | null = null;
  #isAwake = false;

  constructor(clock: Clock, set: (inputs: Levels) => void) {
    this.#clock = clock;
    this.#set = set;
  }

  /** Resolves when the wave is over, with how late its latest step was, ms. */
  play(startMs: number, steps: readonly WaveStep[]): Promise<number> {
    return new Promise((over) => {
      const wave = { stepsLeft: steps.length, latestMs: 0, over };
      const timed = steps.map(({ ms, inputs }) => ({ atMs: startMs + ms, inputs, wave }));
      // Those of the same time stay in the order in which they came.
      this.#steps = [...this.#steps, ...timed].sort((a, b) => a.atMs - b.atMs);
      this.#wait();
    });
  }

  #wait(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const [next] = this.#steps;
    if (next === undefined || this.#isAwake) return;
    const waitMs = next.atMs - awakeMs - this.#clock.now();
    if (waitMs > 0) this.#timer = this.#clock.setTimer(waitMs, () => this.#wait());
    else {
      this.#isAwake = true;
      setImmediate(() => this.#look());
    }
  }

  #look(): void {
    this.#isAwake = false;
    const { atMs, inputs, wave } = this.#steps[0]!;
    const lateMs = this.#clock.now() - atMs;
    if (lateMs >= 0) {
      this.#steps.shift();
      this.#set(inputs);
      wave.latestMs = Math.max(wave.latestMs, lateMs);
      if (--wave.stepsLeft === 0) wave.over(wave.latestMs);
    }
    this.#wait();
  }
}

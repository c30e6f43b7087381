import type { Idio16 } from './card.ts';

/** Inputs that are turned over for a time. They are the world's hand, not state of the card: after a restart an input stays as it was left. */
export class Pulses {
  readonly #card: Idio16;
  /** Of each pulse under way: its inputs. */
  readonly #running = new Set<{ inputs: number }>();

  constructor(card: Idio16) {
    this.#card = card;
  }

  /** The inputs under a pulse. */
  get inputs(): number {
    let inputs = 0;
    for (const pulse of this.#running) inputs |= pulse.inputs;
    return inputs;
  }

  /** Turns inputs over, and back after a time; resolves then. */
  run(inputs: number, ms: number): Promise<void> {
    const pulse = { inputs };
    this.#running.add(pulse);
    this.#turn(inputs);
    return new Promise((resolve) => {
      this.#card.host.clock.setTimer(ms, () => {
        this.#running.delete(pulse);
        this.#turn(pulse.inputs);
        resolve();
      });
    });
  }

  /** These inputs have been set: no pulse turns them back. */
  end(inputs: number): void {
    for (const pulse of this.#running) pulse.inputs &= ~inputs;
  }

  #turn(inputs: number): void {
    this.#card.setTerminals(~this.#card.terminals, inputs);
  }
}

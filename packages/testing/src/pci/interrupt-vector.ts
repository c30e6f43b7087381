import { type Turning, until } from '../until.ts';
import type { InterruptLine } from './port.ts';

/** One interrupt of a function, counted. */
export class InterruptVector {
  readonly number: number;
  readonly #line: InterruptLine;
  readonly #side: Turning;
  #pending = 0;

  constructor(number: number, line: InterruptLine, side: Turning) {
    this.number = number;
    this.#line = line;
    this.#side = side;
  }

  /** How often it has arrived since it was last taken. */
  take(): number {
    const count = this.#pending + this.#line.take();
    this.#pending = 0;
    return count;
  }

  /** Resolves when it has arrived, and takes it. @throws after `timeoutMs`. */
  async next(timeoutMs?: number): Promise<void> {
    const arrived = () => {
      this.#pending += this.#line.take();
      return this.#pending > 0;
    };
    await until(this.#side, arrived, `interrupt ${this.number}`, timeoutMs);
    this.#pending = 0;
  }

  /** INTx: says that it has been served. */
  unmask(): void {
    this.#line.unmask();
  }
}

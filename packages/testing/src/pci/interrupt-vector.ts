import { type Turning, until } from '../until.ts';
import type { InterruptLine } from './port.ts';

/** One interrupt of a function, counted. */
export class InterruptVector {
  readonly number: number;
  readonly #line: InterruptLine;
  readonly #side: Turning;
  readonly #handlers = new Set<() => void>();
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

  /** Has `handler` called whenever `serve` finds that it has arrived: several queues may share a vector. Answers what takes that back. */
  handle(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  /** The interrupt routine: takes it, calls every handler, unmasks. False when it had not arrived. */
  serve(): boolean {
    if (this.take() === 0) return false;
    for (const handler of this.#handlers) handler();
    this.unmask();
    return true;
  }

  /** INTx: says that it has been served. */
  unmask(): void {
    this.#line.unmask();
  }
}

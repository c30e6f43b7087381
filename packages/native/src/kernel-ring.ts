import { type Binding, RingWord } from './binding.ts';
import type { Ring, RingOptions } from './ring.ts';
import { PoolWord, RingColumns } from './ring-columns.ts';
import { systemError } from './system-error.ts';

/** IORING_CQ_EVENTFD_DISABLED */
const eventFdDisabled = 1;

/** io_uring with a pool of threads for what it cannot do, or the pool alone. */
export class KernelRing extends RingColumns implements Ring {
  readonly kind: 'io_uring' | 'threads';
  readonly eventFd: number;
  inFlight = 0;
  readonly #binding: Binding;
  /** -1 once closed: the number is another ring's then. */
  #id: number;
  /** The kernel's completion ring; in a ring of threads the pool's words, so that poll has one shape. */
  readonly #words: Int32Array;
  readonly #head: number;
  readonly #tail: number;
  readonly #flags: number;

  constructor(binding: Binding, entries: number, options: RingOptions) {
    const maxSegments = options.maxSegments ?? 64;
    const valid = entries >= 1 && entries <= 32768 && maxSegments >= 1 && maxSegments <= 1024;
    super(valid ? entries : 0, valid ? maxSegments : 0);
    const out = new Int32Array(RingWord.columns);
    const memory = binding.ringOpen(entries, maxSegments, this.buffer, options.forceThreads ?? false, out);
    if (typeof memory === 'number') throw systemError(memory, 'io_uring_setup');
    this.#binding = binding;
    this.#id = out[RingWord.id]!;
    this.eventFd = out[RingWord.eventFd]!;
    this.kind = memory === null ? 'threads' : 'io_uring';
    this.#words = memory === null ? this.poolWords : new Int32Array(memory);
    this.#head = memory === null ? PoolWord.head : out[RingWord.headIndex]!;
    this.#tail = memory === null ? PoolWord.tail : out[RingWord.tailIndex]!;
    this.#flags = memory === null ? PoolWord.flags : out[RingWord.flagsIndex]!;
  }

  submit(count: number): number {
    const result = this.#binding.ringSubmit(this.#id, count);
    if (result === 0) this.inFlight += count;
    return result;
  }

  poll(): number {
    if (this.#idle()) return 0;
    const count = this.#binding.ringReap(this.#id);
    this.inFlight -= count;
    return count;
  }

  arm(): boolean {
    // Atomics on both sides of the question: a plain load could be answered before the store is seen.
    Atomics.store(this.#words, this.#flags, 0);
    Atomics.load(this.#words, this.#tail);
    return this.#idle();
  }

  disarm(): void {
    this.#words[this.#flags] = eventFdDisabled;
  }

  close(): void {
    this.#binding.ringClose(this.#id);
    this.#id = -1;
    this.inFlight = 0;
  }

  #idle(): boolean {
    const words = this.#words;
    const pool = this.poolWords;
    return words[this.#tail] === words[this.#head] && pool[PoolWord.tail] === pool[PoolWord.head];
  }
}

/** One value that was written, and when, as far as the driver can know. */
export interface Written<T> {
  /** Undefined: nobody knows yet; the first that reads it does. */
  value: T | undefined;
  /** What it could be while nobody knows; null: anything. */
  could: ((value: T) => boolean) | null;
  readonly begun: number;
  /** It has happened by then, or never does. Infinity: it is under way. */
  ended: number;
  /** Something else has taken its place by then. */
  gone: number;
}

/**
 * A value that several may write and read at once: a block of a disk, a feature. Commands in flight keep no order among each other (NVMe Base
 * 2.0, 3.4.1), so it is any that could have been written last; each access takes place at some moment between its submission and its completion.
 * What is read tells what was written before it.
 */
export class History<T> {
  #entries: Written<T>[];

  constructor(value: T | undefined) {
    this.#entries = [{ value, could: null, begun: -1, ended: -1, gone: Number.POSITIVE_INFINITY }];
  }

  /** A write is submitted: from now on it may be seen. */
  begin(value: T, now: number): Written<T> {
    const forever = Number.POSITIVE_INFINITY;
    const entry: Written<T> = { value, could: null, begun: now, ended: forever, gone: forever };
    this.#entries.push(entry);
    return entry;
  }

  /** A write of something that only its passing tells. */
  beginAmong(could: (value: T) => boolean, now: number): Written<T> {
    const forever = Number.POSITIVE_INFINITY;
    const entry: Written<T> = { value: undefined, could, begun: now, ended: forever, gone: forever };
    this.#entries.push(entry);
    return entry;
  }

  /** It has succeeded: what had ended before it began is gone. */
  end(entry: Written<T>, now: number): void {
    this.drop(entry, now);
    for (const other of this.#entries) {
      if (other !== entry && other.ended < entry.begun) other.gone = Math.min(other.gone, now);
    }
  }

  /** It has failed, or was lost in a reset: it has happened or not, and does not happen later. */
  drop(entry: Written<T>, now: number): void {
    entry.ended = Math.min(entry.ended, now);
  }

  /** It has failed in a way that says that it has not happened. */
  never(entry: Written<T>): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
  }

  /** An access that began at `since` may have met these. */
  possible(since: number): readonly Written<T>[] {
    return this.#entries.filter((entry) => entry.gone > since);
  }

  allows(value: T, since: number): boolean {
    return this.possible(since).some((entry) => mayBe(entry, value));
  }

  /** True when an access since then cannot but meet a value that passes. */
  certain(since: number, passes: (value: T) => boolean): boolean {
    return this.possible(since).every(({ value }) => value !== undefined && passes(value));
  }

  /** An access from `since` to `now` has met the value. False: it cannot have. */
  saw(value: T, since: number, now: number): boolean {
    const found = this.possible(since).filter((entry) => mayBe(entry, value));
    if (found.length === 0) return false;
    // It has happened by now, whenever its command completes.
    if (found.length === 1) {
      found[0]!.value = value;
      this.drop(found[0]!, now);
    }
    for (const other of this.#entries) {
      if (!found.includes(other) && other.ended < since) other.gone = Math.min(other.gone, now);
    }
    return true;
  }

  /** Nothing is under way that began before now: what is gone need not be kept. */
  prune(): void {
    this.#entries = this.#entries.filter((entry) => entry.gone === Number.POSITIVE_INFINITY);
  }

  toString(): string {
    return this.#entries
      .map(({ value, begun, ended, gone }) => `${value}@${begun}-${ended}${gone === Infinity ? '' : ` gone ${gone}`}`)
      .join(', ');
  }
}

/** Whether it is that value, as far as anybody knows. */
export function mayBe<T>({ value, could }: Written<T>, wanted: T): boolean {
  return value === undefined ? (could?.(wanted) ?? true) : value === wanted;
}

import { hex, must } from './violation.ts';

/** An event that has happened: how often it may still be told, and whether it must be. */
interface Happened {
  most: number;
  must: boolean;
}

/** NVMe Base 2.0, 5.2: which events may come, and which must. */
export class EventModel {
  /** By type and information (dword 0, bits 2:0 and 15:8). */
  readonly #happened = new Map<number, Happened>();
  /** Types that were told, until their log page is read. `maybe`: that is under way. */
  readonly #masked = new Map<number, 'yes' | 'maybe'>();
  /** Reads of log pages under way that clear events, by type. */
  readonly #reads = new Map<number, number>();

  happened(type: number, information: number, certain: boolean): void {
    const key = type | (information << 8);
    const one = this.#happened.get(key) ?? { most: 0, must: false };
    // The same again before the first is told is one event.
    one.most++;
    if (certain && !this.#reading(type)) one.must = true;
    this.#happened.set(key, one);
  }

  /** An Asynchronous Event Request has completed. */
  told(dword0: number): void {
    const type = dword0 & 7;
    const one = this.#happened.get(dword0 & 0xff07);
    must(one !== undefined && one.most > 0, () => `an event that has not happened: ${hex(dword0)}`);
    must(this.#masked.get(type) !== 'yes', () => `an event of a type that is masked: ${hex(dword0)}`);
    one.most--;
    one.must = false;
    this.#masked.set(type, this.#reading(type) ? 'maybe' : 'yes');
  }

  /** Get Log Page of that type's page without Retain is on its way. What is pending may be cleared by it. */
  reading(type: number): void {
    this.#reads.set(type, (this.#reads.get(type) ?? 0) + 1);
    if (this.#masked.has(type)) this.#masked.set(type, 'maybe');
    for (const [key, one] of this.#happened) if ((key & 7) === type) one.must = false;
  }

  /** It has ended. */
  read(type: number, good: boolean): void {
    this.#reads.set(type, this.#reads.get(type)! - 1);
    if (good && this.#masked.get(type) === 'maybe') this.#masked.delete(type);
  }

  /** Nothing more would come, and there is a request: no event that must be told is left. */
  checkTold(): void {
    for (const [key, one] of this.#happened) {
      must(!one.must || this.#masked.has(key & 7), () => `an event was never told: ${hex(key)}`);
    }
  }

  reset(): void {
    this.#happened.clear();
    this.#masked.clear();
    this.#reads.clear();
  }

  #reading(type: number): boolean {
    return (this.#reads.get(type) ?? 0) > 0;
  }
}

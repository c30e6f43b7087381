import type { Model } from './model.ts';
import type { DriveError } from './model-drive.ts';
import { must } from './violation.ts';

/** A counter that is known within bounds: what was lost in a reset may have been counted. */
class Counter {
  low = 0;
  high = 0;

  add(amount: number, certain: boolean): void {
    if (certain) this.low += amount;
    this.high += amount;
  }
}

/** Counters of the SMART log (NVMe Base 2.0, 5.16.1.3). */
export class HealthModel {
  readonly readCommands = new Counter();
  readonly writeCommands = new Counter();
  readonly readBytes = new Counter();
  readonly writtenBytes = new Counter();
  readonly mediaErrors = new Counter();
  readonly unsafeShutdowns = new Counter();
  readonly powerCycles = new Counter();
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
    this.powerCycles.add(1, true);
  }

  read(lengthBytes: number, certain: boolean): void {
    this.readCommands.add(1, certain);
    this.readBytes.add(lengthBytes, certain);
  }

  written(lengthBytes: number, certain: boolean): void {
    this.writeCommands.add(1, certain);
    this.writtenBytes.add(lengthBytes, certain);
  }

  /** Errors of requests whose commands were lost. */
  lost(errors: readonly DriveError[]): void {
    this.mediaErrors.add(errors.length, false);
  }

  /** The lowest that a log page asked for now may show. */
  snapshot(): number[] {
    return this.#counters.map(({ counter }) => counter.low);
  }

  /** Checks a page that was asked for when the counters were at `low`. */
  check(page: Uint8Array, low: readonly number[]): void {
    const view = new DataView(page.buffer, page.byteOffset, page.length);
    // Whatever is in flight may have been counted.
    const inFlight = this.#model.inFlight;
    const bytes = inFlight.reduce((sum, { transfer }) => sum + (transfer?.lengthBytes ?? 0), 0);
    for (const [index, { name, offset, counter, inBytes }] of this.#counters.entries()) {
      const value = view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
      const units = (amount: number) => (inBytes ? Math.ceil(amount / 512_000) : amount);
      const [least, most] = [units(low[index]!), units(counter.high + (inBytes ? bytes : inFlight.length))];
      must(value >= least && value <= most, () => `SMART: ${name} is ${value}, not ${least} to ${most}`);
    }
  }

  get #counters() {
    return [
      { name: 'data units read', offset: 32, counter: this.readBytes, inBytes: true },
      { name: 'data units written', offset: 48, counter: this.writtenBytes, inBytes: true },
      { name: 'read commands', offset: 64, counter: this.readCommands, inBytes: false },
      { name: 'write commands', offset: 80, counter: this.writeCommands, inBytes: false },
      { name: 'power cycles', offset: 112, counter: this.powerCycles, inBytes: false },
      { name: 'unsafe shutdowns', offset: 144, counter: this.unsafeShutdowns, inBytes: false },
      { name: 'media errors', offset: 160, counter: this.mediaErrors, inBytes: false },
    ] as const;
  }
}

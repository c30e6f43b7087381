import type { Model } from '../model.ts';
import type { Real } from '../real.ts';
import { Action } from './action.ts';

/** The drives answer at once, or in time, or not for now. */
export class DriveSpeed extends Action {
  readonly #speed: 'inline' | 'slow' | 'stalled';

  constructor(speed: 'inline' | 'slow' | 'stalled') {
    super();
    this.#speed = speed;
  }

  act(_model: Model, real: Real): void {
    for (const drive of real.drives) {
      drive.slow = this.#speed !== 'inline';
      drive.stalled = this.#speed === 'stalled';
    }
  }

  toString(): string {
    return `drives ${this.#speed}`;
  }
}

/** The next requests of a drive fail. */
export class DriveFails extends Action {
  readonly #drive: number;
  readonly #count: number;
  readonly #errno: number;

  constructor(drive: number, count: number, errno: number) {
    super();
    this.#drive = drive;
    this.#count = count;
    this.#errno = errno;
  }

  act(model: Model): void {
    const drive = model.drives[this.#drive % model.drives.length]!;
    drive.failNext = this.#count;
    drive.errno = this.#errno;
  }

  toString(): string {
    return `drive ${this.#drive} fails ${this.#count} times with errno ${this.#errno}`;
  }
}

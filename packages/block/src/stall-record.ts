import type { Clock, Log } from '@sidecard/core';
import type { DriveHost } from './drive.ts';

/** Whether a drive has stalled: from the first request that it has had for too long, until all that it had has ended. Says both. */
export class StallRecord {
  readonly #drive: string;
  readonly #limitMs: number;
  readonly #log: Log;
  readonly #clock: Clock;
  underWay = false;
  #sinceMs = 0;
  #failed = 0;

  constructor(drive: string, limitMs: number, host: Pick<DriveHost, 'clock' | 'log'>) {
    this.#drive = drive;
    this.#limitMs = limitMs;
    this.#log = host.log;
    this.#clock = host.clock;
  }

  /** A request has failed; `atDrive`: because the drive has not answered. */
  failed(atDrive: boolean): void {
    if (atDrive && !this.underWay) {
      this.underWay = true;
      this.#sinceMs = this.#clock.now();
      const seconds = this.#limitMs / 1000;
      this.#log.error(
        { drive: this.#drive },
        `has not answered for ${seconds} s: requests fail, and it gets nothing new before all that it has has ended`,
      );
    }
    if (this.underWay) this.#failed++;
  }

  ended(): void {
    this.underWay = false;
    const seconds = (this.#clock.now() - this.#sinceMs + this.#limitMs) / 1000;
    this.#log.warn({ drive: this.#drive, seconds, failed: this.#failed }, 'answers again');
    this.#failed = 0;
  }
}

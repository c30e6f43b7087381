import type { Clock, Log } from '@sidecard/core';
import type { BlockRequest } from './backend.ts';
import { errnoText } from './errno.ts';

/** A kind of error that has not come for so long has passed. */
const EPISODE_MS = 60_000;

interface Episode {
  count: number;
  lastMs: number;
}

/** Logs the errors of a drive, each kind once per episode: a guest that goes on trying must not fill the log. */
export class ErrorLog {
  readonly #drive: string;
  readonly #log: Log;
  readonly #clock: Clock;
  /** By operation and errno: the last of each. */
  readonly #episodes = new Map<string, Episode>();

  constructor(drive: string, log: Log, clock: Clock) {
    this.#drive = drive;
    this.#log = log;
    this.#clock = clock;
  }

  report(request: BlockRequest, errno: number): void {
    const kind = `${request.operation} ${errno}`;
    const nowMs = this.#clock.now();
    const last = this.#episodes.get(kind);
    if (last !== undefined && nowMs - last.lastMs < EPISODE_MS) {
      last.count++;
      last.lastMs = nowMs;
      return;
    }
    this.#episodes.set(kind, { count: 1, lastMs: nowMs });
    const fields = { drive: this.#drive, offset: request.offset, bytes: request.lengthBytes };
    const before =
      last === undefined ? '' : `; it came ${last.count === 1 ? 'once' : `${last.count} times`} the last time`;
    this.#log.error(fields, `${request.operation} failed: ${errnoText(errno)} (said once while it lasts${before})`);
  }
}

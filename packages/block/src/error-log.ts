import type { Log } from '@sidecard/core';
import type { BlockRequest } from './backend.ts';
import { errnoText } from './errno.ts';

/** Logs the errors of a drive, each kind once: a guest that goes on trying must not fill the log. */
export class ErrorLog {
  readonly #drive: string;
  readonly #log: Log;
  readonly #said = new Set<string>();

  constructor(drive: string, log: Log) {
    this.#drive = drive;
    this.#log = log;
  }

  report(request: BlockRequest, errno: number): void {
    const kind = `${request.operation} ${errno}`;
    if (this.#said.has(kind)) return;
    this.#said.add(kind);
    const fields = { drive: this.#drive, offset: request.offset, bytes: request.lengthBytes };
    this.#log.error(fields, `${request.operation} failed: ${errnoText(errno)} (said once)`);
  }
}

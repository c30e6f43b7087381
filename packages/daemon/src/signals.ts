import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '@sidecard/core';
import { oneLine } from './errors.ts';
import type { Logger } from './logger.ts';

/** How long work with files may still take when all else has ended, ms. */
const filesMs = 1000;

/**
 * What signals do, from before the socket is there: SIGTERM and SIGINT end the daemon, the second one at once; SIGHUP has the device look again at
 * what it stands on.
 */
export class Signals {
  readonly #log: Logger;
  #server: Server | null = null;
  #ending: NodeJS.Signals | null = null;
  /** SIGHUP came, maybe before there was a device. */
  #hungUp = false;

  constructor(log: Logger) {
    this.#log = log;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#end(signal));
    process.on('SIGHUP', () => this.#reload());
  }

  /** This is what a signal reaches. */
  serve(server: Server): void {
    this.#server = server;
    if (this.#ending !== null) void this.#close();
    else if (this.#hungUp) this.#reload();
  }

  #reload(): void {
    this.#hungUp = true;
    if (this.#server === null || this.#ending !== null) return;
    const { device } = this.#server;
    if (device.reload === undefined) {
      this.#log.info({ signal: 'SIGHUP' }, 'nothing to look at again: ignored');
      return;
    }
    this.#log.info({ signal: 'SIGHUP' }, 'looking again');
    try {
      device.reload();
    } catch (error) {
      this.#log.error({ error: oneLine(error) }, 'looking again failed');
    }
  }

  #end(signal: NodeJS.Signals): void {
    if (this.#ending !== null) {
      this.#log.warn({ signal }, 'ending at once');
      this.#exit(1);
    }
    this.#ending = signal;
    this.#log.info({ signal }, 'ending: no more commands, draining and flushing');
    if (this.#server !== null) void this.#close();
  }

  async #close(): Promise<void> {
    try {
      await this.#server?.close();
      await this.#filesAnswered();
      this.#log.info({}, 'ended');
      this.#exit(0);
    } catch (error) {
      this.#log.error({ error: oneLine(error) }, 'what was not durable may be lost');
      this.#exit(1);
    }
  }

  async #filesAnswered(): Promise<void> {
    for (const end = performance.now() + filesMs; isAtFiles(); await sleep(10)) {
      if (performance.now() < end) continue;
      this.#log.warn({}, 'a file system does not answer: nobody waits for it any more');
      return;
    }
  }

  #exit(code: number): never {
    this.#log.flush();
    // Node joins its threads as it exits, and one that waits for a file system would keep the process, with its locks, for as long.
    if (isAtFiles()) process.kill(process.pid, 'SIGKILL');
    process.exit(code);
  }
}

/** Threads of the process have files to open, read or change. */
function isAtFiles(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}

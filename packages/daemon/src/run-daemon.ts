import { readFileSync, writeSync } from 'node:fs';
import { type Host, type PciDevice, type Server, serve } from '@sidecard/core';
import { loadNative, type Native } from '@sidecard/native';
import { type CommandLine, type CommonOptions, parseCommandLine } from './command-line.ts';
import { exitCode, oneLine } from './errors.ts';
import { listenAt } from './listen-at.ts';
import { createLogger, type Logger } from './logger.ts';
import { tuneCompiler } from './tuning.ts';

/** What a device gets besides its host. */
export interface DaemonContext {
  readonly native: Native;
  /** Tells this daemon from others on the machine, the same after a restart: its socket's path. */
  readonly instance: string;
}

export interface DaemonOptions<Options> extends CommandLine {
  /**
   * Checks the arguments, and answers what makes the device. Both throw Errors of one line; `kind: 'usage'` among their properties is a mistake
   * at the command line.
   */
  create(args: Options & CommonOptions, context: DaemonContext): (host: Host) => PciDevice;
}

/**
 * Runs a device as a daemon until SIGTERM or SIGINT, which drain and flush it and remove its socket; the second one ends it at once.
 * Ends the process: 0, 1 for a failure, 2 for usage.
 */
export async function runDaemon<Options>(daemon: DaemonOptions<Options>): Promise<void> {
  tuneCompiler();
  try {
    await start(daemon);
  } catch (error) {
    complain(`${daemon.name}: ${oneLine(error)}`);
    if (process.env.SIDECARD_DEBUG !== undefined && error instanceof Error) complain(`${error.stack}`);
    process.exit(exitCode(error));
  }
}

function complain(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // Nobody reads it; the exit code tells.
  }
}

async function start<Options>(daemon: DaemonOptions<Options>): Promise<void> {
  const args = parseCommandLine<Options>(daemon, process.argv.slice(2), (text) => writeSync(1, text));
  if (args === null) return;
  const at = listenAt(args.socket, process.env, process.pid);
  const instance = 'socketPath' in at ? at.socketPath : `fd ${at.listenFd}`;
  const native = loadNative();
  const create = daemon.create(args, { native, instance });
  const log = await createLogger(daemon.name, args.logLevel, native);
  const ending = new Ending(log);
  const server = await serve({ at, log, native, poll: args.poll }, create);
  log.info({ socket: instance, version: daemon.version }, 'serving');
  ending.end(server);
}

/** SIGTERM and SIGINT, from before the socket is there. */
class Ending {
  readonly #log: Logger;
  #server: Server | null = null;
  #signal: NodeJS.Signals | null = null;

  constructor(log: Logger) {
    this.#log = log;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#signalled(signal));
  }

  /** This is what a signal ends. */
  end(server: Server): void {
    this.#server = server;
    if (this.#signal !== null) void this.#close();
  }

  #signalled(signal: NodeJS.Signals): void {
    if (this.#signal !== null) {
      this.#log.warn({ signal }, 'ending at once');
      this.#exit(1);
    }
    this.#signal = signal;
    this.#log.info({ signal }, 'ending: no more commands, draining and flushing');
    if (this.#server !== null) void this.#close();
  }

  async #close(): Promise<void> {
    try {
      await this.#server?.close();
      this.#log.info({}, 'ended');
      this.#exit(0);
    } catch (error) {
      this.#log.error({ error: oneLine(error) }, 'what was not durable may be lost');
      this.#exit(1);
    }
  }

  #exit(code: number): never {
    this.#log.flush();
    process.exit(code);
  }
}

/** The version in the package.json above the folder of `moduleUrl` (import.meta.url of a file in src or dist). */
export function packageVersion(moduleUrl: string): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', moduleUrl), 'utf8'));
  return (manifest as { version: string }).version;
}

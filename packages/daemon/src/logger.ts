import { isatty } from 'node:tty';
import type { Log } from '@sidecard/core';
import { pino } from 'pino';
import type { LogLevel } from './command-line.ts';

const stderr = 2;
/** Log lines kept for a reader of stderr that is slow, bytes; what is beyond is dropped, since a device never waits for its log. */
const maxBacklogBytes = 1024 * 1024;

export interface Logger extends Log {
  /** Writes what is left, before the process ends. */
  flush(): void;
}

/** Logs to stderr: for eyes on a terminal, JSON lines otherwise. */
export async function createLogger(name: string, level: LogLevel): Promise<Logger> {
  const options = { name, level };
  if (isatty(stderr)) {
    // Loaded only here: it costs 30 ms.
    const { default: pretty } = await import('pino-pretty');
    const stream = pretty({
      destination: stderr,
      sync: true,
      ignore: 'pid,hostname,name',
      translateTime: 'SYS:HH:MM:ss.l',
    });
    return withFlush(pino(options, stream), () => {});
  }
  const destination = pino.destination({ dest: stderr, sync: false, maxLength: maxBacklogBytes });
  // Nobody reads any more: the device goes on.
  destination.on('error', () => {});
  return withFlush(pino(options, destination), () => {
    try {
      destination.flushSync();
    } catch {
      // The same.
    }
  });
}

function withFlush(log: Log, flush: () => void): Logger {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    flush,
  };
}

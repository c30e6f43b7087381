import { isatty } from 'node:tty';
import type { Log } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { pino } from 'pino';
import type { LogLevel } from './command-line.ts';
import { LogSink } from './log-sink.ts';

const stderr = 2;

export interface Logger extends Log {
  /** Writes what can be written, before the process ends. */
  flush(): void;
}

/** Logs to stderr: for eyes on a terminal, JSON lines otherwise. */
export async function createLogger(name: string, level: LogLevel, native: Pick<Native, 'send'>): Promise<Logger> {
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
  const sink = new LogSink(native, stderr);
  return withFlush(pino(options, sink), () => sink.flush());
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

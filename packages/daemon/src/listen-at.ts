import type { ListenAt } from '@sidecard/core';
import { UsageError } from './errors.ts';

/** First descriptor that a service manager hands over (sd_listen_fds(3)). */
const firstFd = 3;

export interface Activation {
  readonly LISTEN_FDS?: string | undefined;
  readonly LISTEN_PID?: string | undefined;
}

/**
 * Where to serve: the path that was given, else the listening socket that the service manager hands over, if it is meant for this process.
 * @throws UsageError
 */
export function listenAt(socketPath: string | undefined, environment: Activation, pid: number): ListenAt {
  if (socketPath === '') throw new UsageError('--socket: the path is empty');
  if (socketPath !== undefined) return { socketPath };
  const { LISTEN_FDS: count, LISTEN_PID: listenPid } = environment;
  if (count === undefined || (listenPid !== undefined && Number(listenPid) !== pid)) {
    throw new UsageError('--socket <path> is required (--help lists the options)');
  }
  if (count !== '1') throw new UsageError(`LISTEN_FDS is '${count}': exactly one socket is served`);
  return { listenFd: firstFd };
}

import { bindSocket, type Log, type Server } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { UsageError } from '../errors.ts';
import type { DaemonFacts } from './common-routes.ts';
import type { DeviceControl } from './route.ts';

/** Connections that wait in the kernel until they are taken; one more gets EAGAIN. */
const backlog = 512;

/** A control socket: there from the start, so that a path that cannot be had is told before anything is served, and answered once the device serves. */
export interface ControlSocket {
  serve(
    facts: DaemonFacts & { readonly description: string },
    server: Server,
    control: DeviceControl,
    log: Log,
  ): Promise<void>;
  /** Ends all connections and removes the socket. */
  close(): void;
}

/** Binds; only the owner may connect. @throws UsageError, ListenError */
export function controlSocket(native: Native, path: string): ControlSocket {
  if (path === '') throw new UsageError('--control: the path is empty');
  const socket = bindSocket(native, path, backlog);
  let closed = false;
  let http: { close(): void } | null = null;
  return {
    serve: async (facts, server, control, log) => {
      // Loaded only now and only here: HTTP and the checks of bodies cost 40 ms and 8 MiB.
      const { serveControl } = await import('./serve-control.ts');
      if (!closed) http = serveControl(facts, server, control, log, native, socket.fd);
    },
    close: () => {
      closed = true;
      socket.remove();
      if (http === null) native.close(socket.fd);
      else http.close();
    },
  };
}

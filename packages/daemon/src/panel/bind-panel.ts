import { ListenError } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { type PanelAddress, panelAddress } from './panel-address.ts';
import { PanelToken } from './panel-token.ts';

/** Connections that wait in the kernel until they are taken. */
const backlog = 64;

/** A panel's socket, with the port that it has in fact. */
export interface BoundPanel extends PanelAddress {
  readonly fd: number;
  readonly token: PanelToken;
}

/** Listens. @throws UsageError, ListenError */
export function bindPanel(native: Native, at: string, socketPath: string | undefined): BoundPanel {
  const { address, port } = panelAddress(at);
  const token = new PanelToken(socketPath);
  try {
    const fd = native.listenTcp(address, port, backlog);
    return { fd, address, port: native.tcpPort(fd), token };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new ListenError(`--panel: cannot listen on ${address} port ${port}: ${reasons[code] ?? message}`, {
      cause: error,
    });
  }
}

const reasons: { readonly [code: string]: string } = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'permission denied (ports below 1024 are for root)',
  EAFNOSUPPORT: 'this machine has no such network',
};

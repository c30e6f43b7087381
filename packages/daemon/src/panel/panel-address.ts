import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';

export interface PanelAddress {
  /** In figures. */
  readonly address: string;
  /** 0 is one that is free. */
  readonly port: number;
}

/** 8080 (of this machine alone), 192.0.2.7:8080, [::1]:8080, localhost:8080. @throws UsageError */
export function panelAddress(text: string): PanelAddress {
  const [, brackets, plain, port] = /^(?:(?:\[(.*)\]|([^:]*)):)?(\d{1,5})$/.exec(text) ?? [];
  const named = brackets ?? plain ?? 'localhost';
  const address = named === 'localhost' ? '127.0.0.1' : named;
  const version = brackets === undefined ? 4 : 6;
  if (port === undefined || Number(port) > 0xffff || isIP(address) !== version || address.includes('%')) {
    throw new UsageError(`--panel ${text}: neither a port (0 to 65535) nor ADDRESS:PORT, the address in figures`);
  }
  return { address, port: Number(port) };
}

/** Whether only this machine can reach it. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** For a browser. */
export function panelUrl({ address, port }: PanelAddress, token: string): string {
  const reachable = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return `http://${isIP(reachable) === 6 ? `[${reachable}]` : reachable}:${port}/#token=${token}`;
}

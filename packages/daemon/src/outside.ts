import { type BoundSocket, bindSocket, type Log, type Server } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import type { DaemonFacts } from './control/common-routes.ts';
import type { DeviceControl } from './control/route.ts';
import { UsageError } from './errors.ts';
import { type BoundPanel, bindPanel } from './panel/bind-panel.ts';
import type { PanelPage } from './panel/panel-page.ts';

/** Connections that wait in the kernel until they are taken; one more gets EAGAIN. */
const backlog = 512;

export interface OutsideOptions {
  /** Path of the control socket. */
  readonly control?: string | undefined;
  /** Where the panel is. */
  readonly panel?: string | undefined;
  /** The device's own. */
  readonly socket?: string | undefined;
}

/**
 * The ways to a device from outside the machine: control socket and panel. They are there from the start, so that one that cannot be had is told before
 * anything is served, and answered once the device serves.
 */
export class Outside {
  readonly #native: Native;
  readonly #panel: BoundPanel | null;
  readonly #socket: BoundSocket | null;
  #servers: { close(): void } | null = null;
  #closed = false;

  /** Binds what is asked for; only the owner may connect to the control socket. @throws UsageError, ListenError */
  constructor(native: Native, { control, panel, socket }: OutsideOptions) {
    if (control === '') throw new UsageError('--control: the path is empty');
    if (control !== undefined && control === socket) throw new UsageError('--control and --socket are the same path');
    this.#native = native;
    this.#panel = panel === undefined ? null : bindPanel(native, panel, socket);
    this.#socket = control === undefined ? null : bindSocket(native, control, backlog);
  }

  async serve(
    facts: DaemonFacts & { readonly description: string },
    server: Server,
    device: { readonly control: () => DeviceControl; readonly page: PanelPage | undefined },
    log: Log,
  ): Promise<void> {
    if (this.#socket === null && this.#panel === null) return;
    // Loaded only now and only here: HTTP and the checks of bodies cost 40 ms and 8 MiB.
    const { ControlServers } = await import('./control-servers.ts');
    if (this.#closed) return;
    const servers = new ControlServers(facts, server, device.control(), log, this.#native);
    this.#servers = servers;
    if (this.#socket !== null) servers.serveSocket(this.#socket.fd);
    if (this.#panel !== null) servers.servePanel(this.#panel, device.page!);
  }

  /** Ends all connections and removes the socket. */
  close(): void {
    this.#closed = true;
    this.#socket?.remove();
    if (this.#servers !== null) this.#servers.close();
    else for (const bound of [this.#socket, this.#panel]) if (bound !== null) this.#native.close(bound.fd);
  }
}

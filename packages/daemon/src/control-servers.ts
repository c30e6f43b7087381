import type { Log, Server } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { commonMetrics } from './control/common-metrics.ts';
import { commonRoutes, type DaemonFacts, openApiRoute } from './control/common-routes.ts';
import { ControlServer } from './control/control-server.ts';
import { openApi } from './control/openapi.ts';
import type { DeviceControl } from './control/route.ts';
import { Share } from './control/share.ts';
import { oneLine } from './errors.ts';
import type { BoundPanel } from './panel/bind-panel.ts';
import { isLoopback, panelUrl } from './panel/panel-address.ts';
import { PanelGuard } from './panel/panel-guard.ts';
import { chosen, fileRoutes, type PanelPage } from './panel/panel-page.ts';

/** What a device serves to the outside, on sockets that listen. All of it has one share of the device's thread. */
export class ControlServers {
  readonly #facts: DaemonFacts & { readonly description: string };
  readonly #server: Server;
  readonly #control: DeviceControl;
  readonly #log: Log;
  readonly #native: Native;
  readonly #share = new Share();
  readonly #servers: ControlServer[] = [];

  constructor(
    facts: DaemonFacts & { readonly description: string },
    server: Server,
    control: DeviceControl,
    log: Log,
    native: Native,
  ) {
    this.#facts = facts;
    this.#server = server;
    this.#control = control;
    this.#log = log;
    this.#native = native;
  }

  /** What every device has, and what this one adds. */
  serveSocket(fd: number): void {
    const { events = [], metrics = [] } = this.#control;
    const all = [...commonMetrics(this.#facts, this.#server), ...metrics];
    const described = openApiRoute(() => document);
    const routes = [...commonRoutes(this.#facts, this.#server, all), ...this.#control.routes, described];
    const { name: title, description, version } = this.#facts;
    const document = openApi({ title, description, version }, routes, events);
    this.#listen(new ControlServer({ routes, events, log: this.#log, share: this.#share }), fd);
  }

  /** A page, and what it uses of the device's control. */
  servePanel({ fd, address, port, token }: BoundPanel, page: PanelPage): void {
    const files = fileRoutes(page.folder);
    const { routes, events } = chosen(page.routes, this.#control);
    const guard = new PanelGuard(
      token,
      files.map(({ path }) => path),
    );
    const options = { routes: [...files, ...routes], events, log: this.#log, share: this.#share, guard };
    this.#listen(new ControlServer(options), fd);
    try {
      token.keep();
    } catch (error) {
      this.#log.warn({ error: oneLine(error) }, 'the panel has another token after a restart: this one cannot be kept');
    }
    this.#log.info({ panel: panelUrl({ address, port }, token.text) }, 'the panel, for a browser');
    if (!isLoopback(address))
      this.#log.warn({ address, port }, 'the panel can be reached by the network, and nothing is encrypted');
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }

  #listen(server: ControlServer, fd: number): void {
    this.#servers.push(server);
    server.listen(this.#native, fd);
  }
}

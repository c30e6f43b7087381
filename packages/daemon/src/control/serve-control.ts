import type { Log, Server } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { commonMetrics } from './common-metrics.ts';
import { commonRoutes, type DaemonFacts, openApiRoute } from './common-routes.ts';
import { ControlServer } from './control-server.ts';
import { openApi } from './openapi.ts';
import type { DeviceControl } from './route.ts';

/** Serves what every device has, and what this one adds, on a socket that listens. */
export function serveControl(
  facts: DaemonFacts & { readonly description: string },
  server: Server,
  control: DeviceControl,
  log: Log,
  native: Native,
  fd: number,
): ControlServer {
  const { events = [], metrics = [] } = control;
  const routes = [...commonRoutes(facts, server, [...commonMetrics(facts, server), ...metrics]), ...control.routes];
  const { name: title, description, version } = facts;
  const described = openApiRoute(() => document);
  const document = openApi({ title, description, version }, [...routes, described], events);
  const http = new ControlServer({ routes: [...routes, described], events, log });
  http.listen(native, fd);
  return http;
}

import type { Server } from '@sidecard/core';
import type { DaemonFacts } from './common-routes.ts';
import type { Metric } from './route.ts';

/** What the process and the vfio-user layer count, whatever the device. */
export function commonMetrics({ name, version }: DaemonFacts, { device, core }: Server): Metric[] {
  const { counts, memory, reactor } = core;
  const counter = (metric: string, help: string, read: () => number): Metric => ({
    name: metric,
    type: 'counter',
    help,
    read,
  });
  const gauge = (metric: string, help: string, read: Metric['read']): Metric => ({
    name: metric,
    type: 'gauge',
    help,
    read,
  });
  return [
    gauge('sidecard_info', 'Always 1; who this is.', () => [{ labels: { device: name, version }, value: 1 }]),
    counter('process_cpu_seconds_total', 'User and system CPU time.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
    gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss()),
    gauge(
      'process_start_time_seconds',
      'Start of the process, since 1970.',
      () => Date.now() / 1000 - process.uptime(),
    ),
    gauge('sidecard_client_connected', '1 while a vfio-user client is connected.', () => (core.connected ? 1 : 0)),
    counter('sidecard_clients_total', 'Clients that were served.', () => counts.clients),
    counter('sidecard_clients_refused_total', 'Clients that came while another was there.', () => counts.refused),
    counter('sidecard_messages_total', 'Messages of clients.', () => counts.messages),
    gauge('sidecard_dma_regions', 'Regions of guest memory that the client has mapped.', () => memory.count),
    gauge('sidecard_dma_files', 'Memory files behind them.', () => memory.fileCount),
    gauge('sidecard_requests_in_flight', 'Requests that may still touch the guest.', () => device.inFlight ?? 0),
    gauge(
      'sidecard_spin_window_seconds',
      'How long the device looks on before it sleeps.',
      () => reactor.window.us / 1e6,
    ),
  ];
}

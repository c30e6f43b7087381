import type { PciDevice, Server } from '@sidecard/core';
import { metricsText, metricsType } from './metrics.ts';
import type { Metric, Route } from './route.ts';

export interface DaemonFacts {
  readonly name: string;
  readonly version: string;
  /** Where it serves. */
  readonly instance: string;
}

const integer = { type: 'integer', minimum: 0 };
const text = { type: 'string' };
const hex = (digits: number) => ({ type: 'string', pattern: `^[0-9a-f]{${digits}}$` });
function object(properties: object) {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

const deviceSchema = object({
  name: text,
  version: text,
  socket: text,
  pid: integer,
  uptimeSeconds: { type: 'number', minimum: 0 },
  pci: object({ vendor: hex(4), device: hex(4), class: hex(6) }),
  client: object({ connected: { type: 'boolean' }, busMaster: { type: 'boolean' } }),
  interrupts: object({ mode: { enum: ['none', 'intx', 'msi', 'msix'] }, vectors: integer }),
  memory: object({ regions: integer, files: integer, mapped: { type: 'boolean' } }),
});

/** What every device's control socket has. */
export function commonRoutes(facts: DaemonFacts, server: Server, metrics: readonly Metric[]): Route[] {
  return [
    {
      method: 'GET',
      path: '/device',
      summary: 'The device: who it is, who is connected, what of guest memory it has.',
      answer: deviceSchema,
      handle: () => describeDevice(facts, server),
    },
    {
      method: 'GET',
      path: '/metrics',
      summary: 'Counters and gauges, for Prometheus.',
      answer: text,
      answerType: metricsType,
      handle: () => metricsText(metrics),
    },
  ];
}

/** The route that describes all routes. */
export function openApiRoute(document: () => object): Route {
  return {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This description.',
    answer: { type: 'object' },
    handle: document,
  };
}

function describeDevice({ name, version, instance }: DaemonFacts, { device, core }: Server): object {
  const { memory, interrupts } = core;
  return {
    name,
    version,
    socket: instance,
    pid: process.pid,
    uptimeSeconds: process.uptime(),
    pci: pciNames(device),
    client: { connected: core.connected, busMaster: core.function.busMaster },
    interrupts: { mode: interrupts.mode, vectors: interrupts.vectors },
    memory: { regions: memory.count, files: memory.fileCount, mapped: memory.mapped },
  };
}

function pciNames({ identity }: PciDevice): object {
  const digits = (value: number, count: number) => value.toString(16).padStart(count, '0');
  return {
    vendor: digits(identity.vendor, 4),
    device: digits(identity.device, 4),
    class: digits(identity.classCode, 6),
  };
}

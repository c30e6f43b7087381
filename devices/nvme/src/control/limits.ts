import type { Limits } from '@sidecard/block';
import type { ControlRequest, Metric, Route, Schema } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { findNamespace, noNamespace, nsidParameter, type OfNamespace } from './namespace-routes.ts';

const limit = { type: ['integer', 'null'], minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const properties = {
  iops: { ...limit, description: 'Operations in a second, reads and writes together; null or 0: no limit.' },
  bytesPerSecond: { ...limit, description: 'What is read and written in a second, bytes; null or 0: no limit.' },
} as const;
const path = '/namespaces/{nsid}/limits';
const answer: Schema = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };

/** The limits of each drive, which hold from the moment of the change on, also for commands that wait by the old ones. */
export function limitRoutes(controller: Controller): Route[] {
  return [
    {
      method: 'GET',
      path,
      summary: 'How much the drive of a namespace may be asked for.',
      parameters: nsidParameter,
      answer,
      refusals: noNamespace,
      handle: ({ parameters }: ControlRequest<unknown, OfNamespace>) => findNamespace(controller, parameters).limits,
    },
    {
      method: 'PATCH',
      path,
      summary: 'Changes the limits that are given, and answers what they are then.',
      parameters: nsidParameter,
      body: { type: 'object', properties, minProperties: 1, additionalProperties: false },
      answer,
      refusals: noNamespace,
      handle: ({ body, parameters }: ControlRequest<Partial<Limits>, OfNamespace>) => {
        const namespace = findNamespace(controller, parameters);
        const { iops, bytesPerSecond } = { ...namespace.limits, ...body };
        namespace.setLimits({ iops: iops || null, bytesPerSecond: bytesPerSecond || null });
        return namespace.limits;
      },
    },
  ];
}

export function limitMetrics({ namespaces }: Controller): Metric[] {
  const metric = (
    type: Metric['type'],
    name: string,
    help: string,
    read: (namespace: Namespace) => number | null,
  ): Metric => ({
    name: `sidecard_nvme_${name}`,
    type,
    help,
    read: () =>
      namespaces.list.flatMap((namespace) => {
        const value = read(namespace);
        return value === null ? [] : [{ labels: { nsid: String(namespace.nsid) }, value }];
      }),
  });
  return [
    metric(
      'gauge',
      'limit_iops',
      'Operations that the drive may be asked for in a second.',
      ({ limits }) => limits.iops,
    ),
    metric(
      'gauge',
      'limit_bytes_per_second',
      'Bytes that may be read and written in a second.',
      ({ limits }) => limits.bytesPerSecond,
    ),
    metric('gauge', 'limit_waiting_commands', 'Commands that wait for the limits.', ({ limiter }) => limiter.waiting),
    metric(
      'counter',
      'limit_delayed_commands_total',
      'Commands that have had to wait for the limits.',
      ({ limiter }) => limiter.delayed,
    ),
    metric(
      'counter',
      'limit_delay_seconds_total',
      'How long they have waited, all together.',
      ({ limiter }) => limiter.delayedMs / 1000,
    ),
  ];
}

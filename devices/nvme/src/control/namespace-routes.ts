import { type ControlRequest, Refusal, type Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { describeNamespace, namespaceSchema } from './namespace-record.ts';

/** What is in the path of all that is about one namespace. */
export const nsidParameter = { nsid: { type: 'integer', minimum: 1, maximum: 0xffff_fffe } } as const;
export interface OfNamespace {
  readonly nsid: number;
}
/** For `refusals` of routes that call `findNamespace`. */
export const noNamespace = { 404: 'There is no such namespace.' } as const;

/** @throws Refusal 404 */
export function findNamespace({ namespaces }: Controller, { nsid }: OfNamespace): Namespace {
  const namespace = namespaces.allocated(nsid);
  if (namespace === null) throw new Refusal(404, `there is no namespace ${nsid}`);
  return namespace;
}

/** The namespaces there are, whether the guest has them or not. */
export function namespaceRoutes(controller: Controller): Route[] {
  return [
    {
      method: 'GET',
      path: '/namespaces',
      summary: 'All namespaces, attached or not.',
      answer: { type: 'array', items: namespaceSchema },
      handle: () => controller.namespaces.list.map(describeNamespace),
    },
    {
      method: 'GET',
      path: '/namespaces/{nsid}',
      summary: 'One namespace.',
      parameters: nsidParameter,
      answer: namespaceSchema,
      refusals: noNamespace,
      handle: ({ parameters }: ControlRequest<unknown, OfNamespace>) =>
        describeNamespace(findNamespace(controller, parameters)),
    },
  ];
}

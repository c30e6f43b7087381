import type { ControlRequest, Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { describeNamespace, namespaceSchema } from './namespace-record.ts';
import { findNamespace, noNamespace, nsidParameter, type OfNamespace } from './namespace-routes.ts';
import { checkOutcome, checkStays } from './refused.ts';

/** What Namespace Attachment does for a guest. */
export function attachmentRoutes(controller: Controller): Route[] {
  const route = (action: 'attach' | 'detach', summary: string): Route => ({
    method: 'POST',
    path: `/namespaces/{nsid}/${action}`,
    summary,
    parameters: nsidParameter,
    answer: namespaceSchema,
    refusals: {
      ...noNamespace,
      409: 'It is so already, is being formatted, or is being removed.',
      500: 'The table of the pool cannot be written.',
      503: 'The daemon ends.',
    },
    handle: async ({ parameters }: ControlRequest<unknown, OfNamespace>) => {
      const namespace = findNamespace(controller, parameters);
      checkStays(namespace);
      checkOutcome(controller, await controller.management[action](namespace.nsid, namespace), namespace.nsid);
      return describeNamespace(namespace);
    },
  });
  return [
    route('attach', 'Gives a namespace to the guest. Answers it.'),
    route(
      'detach',
      'Takes a namespace from the guest, and keeps it. Answers it, when the last command in it has ended.',
    ),
  ];
}

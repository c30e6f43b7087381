import { type ControlRequest, Refusal, type Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { describeNamespace, namespaceSchema } from './namespace-record.ts';
import { findNamespace, noNamespace, nsidParameter, type OfNamespace } from './namespace-routes.ts';

/** A flush that failed stays failed until somebody says that what is lost is lost (storage.md, Durability): here it is said. */
export function failureRoutes(controller: Controller): Route[] {
  return [
    {
      method: 'POST',
      path: '/namespaces/{nsid}/clear-failure',
      summary:
        'Lets flushes and FUA work again after one has failed: whoever says so knows that acknowledged data may be lost. Answers the namespace.',
      parameters: nsidParameter,
      answer: namespaceSchema,
      refusals: { ...noNamespace, 409: 'No flush has failed.' },
      handle: ({ parameters }: ControlRequest<unknown, OfNamespace>) => {
        const namespace = findNamespace(controller, parameters);
        const { nsid, backend } = namespace;
        if (!namespace.flushFailed && backend.failure === null) {
          throw new Refusal(409, `no flush of namespace ${nsid} has failed`);
        }
        backend.clearFailure();
        namespace.flushFailed = false;
        controller.host.log.warn(
          { nsid, drive: backend.description },
          'flushes are tried again: somebody knows that acknowledged data may be lost',
        );
        return describeNamespace(namespace);
      },
    },
  ];
}

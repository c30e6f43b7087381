import { flushDrive, mostBytes } from '@sidecard/block';
import { type ControlRequest, Refusal, type Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { describeNamespace, namespaceSchema } from './namespace-record.ts';
import { findNamespace, noNamespace, nsidParameter, type OfNamespace } from './namespace-routes.ts';
import { measurable } from './reach.ts';
import { checkStays, ending, refused } from './refused.ts';

interface NewSize {
  readonly sizeBytes: number;
  readonly shrink?: boolean;
}

const body = {
  type: 'object',
  properties: {
    sizeBytes: { type: 'integer', minimum: 512, maximum: mostBytes },
    shrink: {
      type: 'boolean',
      description: 'What is beyond the new end may be lost. The guest must not have it then.',
    },
  },
  required: ['sizeBytes'],
  additionalProperties: false,
};

/** Namespaces that grow, and drives that somebody else has made larger. */
export function sizeRoutes(controller: Controller): Route[] {
  /** Those under way. */
  const resizing = new WeakSet<Namespace>();
  const check = (namespace: Namespace) => {
    const { jobs, namespaces } = controller;
    if (jobs.stopping) throw ending;
    if (namespaces.allocated(namespace.nsid) !== namespace)
      throw new Refusal(404, `namespace ${namespace.nsid} is gone`);
    checkStays(namespace);
    checkHasSize(namespace);
    if (resizing.has(namespace)) throw new Refusal(409, `namespace ${namespace.nsid} is being resized`);
  };
  /** Waits for the file system. What there is then is looked at again, at once before it is used. */
  const find = async (parameters: OfNamespace) => {
    const namespace = findNamespace(controller, parameters);
    check(namespace);
    await measurable(namespace.drive);
    return namespace;
  };
  return [
    {
      method: 'PATCH',
      path: '/namespaces/{nsid}',
      summary: 'Makes an image or a drive in memory larger, sparse, and tells the guest. Answers the namespace.',
      parameters: nsidParameter,
      body,
      answer: namespaceSchema,
      refusals: {
        ...noNamespace,
        409: 'It cannot have another size, or not now.',
        500: 'It has the size, but the flush after it has failed.',
        507: 'There is no room for it.',
        503: 'The daemon ends.',
      },
      handle: async ({ body, parameters }: ControlRequest<NewSize, OfNamespace>) => {
        const namespace = await find(parameters);
        check(namespace);
        checkSize(namespace, body);
        resizing.add(namespace);
        const letGo = keep(controller, namespace);
        try {
          await resize(controller, namespace, body.sizeBytes);
        } finally {
          letGo();
          resizing.delete(namespace);
        }
        return describeNamespace(namespace);
      },
    },
    {
      method: 'POST',
      path: '/namespaces/{nsid}/remeasure',
      summary: 'Looks whether somebody has resized the image or device, and tells the guest. Answers the namespace.',
      parameters: nsidParameter,
      answer: namespaceSchema,
      refusals: { ...noNamespace, 409: 'It is being removed or resized, or is of the pool.', 503: 'The daemon ends.' },
      handle: async ({ parameters }: ControlRequest<unknown, OfNamespace>) => {
        const namespace = await find(parameters);
        check(namespace);
        if (namespace.backend.remeasure()) controller.changed.attributes(namespace);
        return describeNamespace(namespace);
      },
    },
  ];
}

/** @throws Refusal 409 */
function checkHasSize({ deletable, nsid }: Namespace): void {
  if (deletable) throw new Refusal(409, `namespace ${nsid} is of the pool, and has the size that it was made with`);
}

/** @throws Refusal */
function checkSize(namespace: Namespace, { sizeBytes, shrink = false }: NewSize): void {
  const { nsid, lbaBytes, backend } = namespace;
  const was = backend.geometry.sizeBytes;
  if (sizeBytes % lbaBytes !== 0) throw new Refusal(400, `sizeBytes is no multiple of ${lbaBytes}, the block`);
  if (namespace.formatting !== null) throw new Refusal(409, `namespace ${nsid} is being formatted`);
  if (namespace.flushFailed || backend.failure !== null) throw new Refusal(409, `flushes of namespace ${nsid} fail`);
  if (sizeBytes >= was) return;
  if (!shrink) {
    throw new Refusal(
      409,
      `the last ${was - sizeBytes} bytes of namespace ${nsid} would be lost (shrink: true allows it)`,
    );
  }
  // A write under way would make it larger again.
  if (namespace.attached || namespace.users > 0) {
    throw new Refusal(409, `namespace ${nsid} is in use: it can be cut when it is detached`);
  }
}

/** It is there until what this answers is called, or the daemon ends, which waits for no host that hangs. */
function keep({ jobs }: Controller, namespace: Namespace): () => void {
  const letGo = () => {
    if (jobs.whenStopping.delete(letGo)) namespace.leave();
  };
  namespace.enter();
  jobs.whenStopping.add(letGo);
  return letGo;
}

async function resize(controller: Controller, namespace: Namespace, sizeBytes: number): Promise<void> {
  const { backend, uncorrectable, nsid } = namespace;
  const was = backend.geometry.sizeBytes;
  if (sizeBytes === was) return;
  try {
    await backend.setSize(sizeBytes);
    controller.changed.attributes(namespace);
    if (sizeBytes < was && (uncorrectable.unmark(sizeBytes, was)?.length ?? 0) > 0) await uncorrectable.save();
  } catch (error) {
    // Given to the guest meanwhile, it has had the smaller size.
    if (sizeBytes < was) controller.changed.attributes(namespace);
    throw refused(error);
  }
  // The daemon closes its drives, and flushes them.
  if (controller.jobs.stopping) return;
  const errno = await flushDrive(backend);
  if (errno === 0) return;
  controller.health.flushFailed(namespace, errno);
  throw new Refusal(500, `namespace ${nsid} has its size, but that is not certain to last: a flush has failed`);
}

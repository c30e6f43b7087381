import { setImmediate } from 'node:timers/promises';
import { flushDrive } from '@sidecard/block';
import { type ControlRequest, Refusal, type Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { findNamespace, noNamespace, nsidParameter, type OfNamespace } from './namespace-routes.ts';
import { checkOutcome, ending } from './refused.ts';

/** Namespaces removed while the guest runs. */
export function removalRoutes(controller: Controller): Route[] {
  /** Those under way. */
  const removals = new WeakMap<Namespace, Promise<void>>();
  return [
    {
      method: 'DELETE',
      path: '/namespaces/{nsid}',
      summary:
        'Takes a namespace from the guest, which loses it at once. A drive is answered for when it is flushed and closed, and free for others; one of the pool is deleted with all that is in it.',
      parameters: nsidParameter,
      refusals: {
        ...noNamespace,
        409: 'It is being formatted, or gone.',
        500: 'It is removed, but the last flush has failed: acknowledged data may be lost.',
        503: 'The daemon ends.',
      },
      handle: async ({ parameters }: ControlRequest<unknown, OfNamespace>) => {
        const namespace = findNamespace(controller, parameters);
        const { nsid } = namespace;
        if (namespace.deletable) {
          checkOutcome(controller, await controller.management.delete(nsid, namespace), nsid);
          return;
        }
        condemn(controller, namespace);
        if (!removals.has(namespace)) removals.set(namespace, remove(controller, namespace));
        const removal = removals.get(namespace)!;
        controller.jobs.run(removal.catch(() => {}));
        await removal;
      },
    },
  ];
}

/** From here on no command enters it, and nobody begins to format it. @throws Refusal */
function condemn({ jobs, changed, namespaces, host }: Controller, namespace: Namespace): void {
  if (jobs.stopping) throw ending;
  const { nsid, backend } = namespace;
  if (namespace.condemned) return;
  if (namespace.formatting !== null) throw new Refusal(409, `namespace ${nsid} is being formatted`);
  host.log.info({ nsid, drive: backend.description, commands: namespace.users }, 'a drive is being removed');
  namespace.condemned = true;
  changed.attributes(namespace);
  namespaces.detach(namespace);
}

/** Waits for the commands that are at the drive, however long it takes them, and lets go of it. @throws Refusal */
async function remove(controller: Controller, namespace: Namespace): Promise<void> {
  const { namespaces, driveChanges, features, health, host } = controller;
  const { nsid, backend } = namespace;
  await namespace.unused();
  const errno = await flushed(controller, namespace);
  if (errno !== 0) health.flushFailed(namespace, errno);
  // A shutdown may be flushing it, too: complete is what is durable, so it is there until now.
  await namespace.unused();
  driveChanges.remove(nsid);
  namespaces.remove(namespace);
  features.forgetNamespace(nsid);
  try {
    await backend.close();
  } catch (error) {
    throw new Refusal(500, `${(error as Error).message} (it has been removed)`);
  }
  host.log.info({ nsid, drive: backend.description }, 'a drive has been removed');
}

/** 0 or an errno. A drive that does not answer in time is asked again: it is not free for others before it has answered. */
async function flushed({ jobs, health }: Controller, { backend, readOnly, flushFailed }: Namespace): Promise<number> {
  if (readOnly || flushFailed) return 0;
  for (;;) {
    const errno = await flushDrive(backend);
    if (!health.isStall(errno)) return errno;
    if (jobs.stopping) throw ending;
    // One that says so at once is not asked in a loop that nobody else can enter.
    await setImmediate();
  }
}

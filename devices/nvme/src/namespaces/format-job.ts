import type { Controller } from '../controller.ts';
import { type Failure, Status } from '../status.ts';
import { Erasure, stopped } from './erasure.ts';
import type { LbaBytes } from './lba-formats.ts';
import type { Namespace } from './namespace.ts';

/**
 * Formats a namespace: intent, erasure, done. What is under way in it ends first, and commands that come meanwhile fail with Format in Progress. Nothing
 * but its end ends it: not the reset of who asked for it, and a daemon that dies finds the intent at its next start.
 */
export async function formatNamespace(
  controller: Controller,
  namespace: Namespace,
  lbaBytes: LbaBytes,
): Promise<Failure> {
  const was = namespace.unavailable;
  const erasure = begin(controller, namespace);
  try {
    await namespace.notes.change({ formatting: lbaBytes });
  } catch (error) {
    end(controller, namespace, was);
    tell(controller, namespace, error);
    return Status.internalError;
  }
  controller.changed.attributes(namespace);
  return finish(controller, namespace, erasure, lbaBytes);
}

/** A start has found the intent: goes on where the process before has ended. */
export async function resumeFormat(controller: Controller, namespace: Namespace): Promise<void> {
  const { nsid, backend } = namespace;
  const lbaBytes = namespace.notes.content.formatting!;
  if (namespace.readOnly) {
    namespace.unavailable = Status.namespaceNotReady;
    controller.host.log.warn(
      { nsid, drive: backend.description },
      'a format has not ended, and the drive is read-only',
    );
    return;
  }
  controller.host.log.info({ nsid, lbaBytes }, 'a format had not ended, and goes on');
  await finish(controller, namespace, begin(controller, namespace), lbaBytes);
}

function begin(controller: Controller, namespace: Namespace): Erasure {
  const erasure = new Erasure(controller.host, namespace.backend, controller.jobs);
  namespace.formatting = erasure;
  namespace.unavailable = Status.formatInProgress;
  return erasure;
}

function end({ changed }: Controller, namespace: Namespace, unavailable: Failure): void {
  namespace.formatting = null;
  namespace.unavailable = unavailable;
  changed.attributes(namespace);
}

async function finish(
  controller: Controller,
  namespace: Namespace,
  erasure: Erasure,
  lbaBytes: LbaBytes,
): Promise<Failure> {
  await namespace.unused();
  const errno = await erasure.run();
  // The intent stays, and the next start goes on.
  if (errno === stopped) return Status.internalError;
  if (errno !== 0 && erasure.operation === 'flush') controller.health.flushFailed(namespace, errno);
  try {
    if (errno === 0) {
      await namespace.uncorrectable.clear();
      await namespace.notes.change({ formatting: undefined, lbaBytes });
    } else await namespace.notes.change({ formatting: undefined });
  } catch (error) {
    // What is written now would be erased by the next start, which fulfils the intent: nothing may be, until another format has worked.
    end(controller, namespace, Status.namespaceNotReady);
    tell(controller, namespace, error);
    return Status.internalError;
  }
  if (errno === 0) namespace.setFormat(lbaBytes);
  end(controller, namespace, Status.success);
  return errno === 0 ? Status.success : controller.health.driveError('write', errno);
}

function tell({ host }: Controller, { nsid }: Namespace, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  host.log.warn({ nsid, error: reason }, 'a format cannot be recorded');
}

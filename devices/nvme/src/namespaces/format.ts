import type { Command } from '../command/command.ts';
import { allNamespaces } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { formatNamespace } from './format-job.ts';
import { JobStep, type Outcome } from './jobs.ts';
import { formatIndex, type LbaBytes } from './lba-formats.ts';
import type { Namespace } from './namespace.ts';

/** SES, bits 11:9 of dword 10. Whatever it says, what was in the namespace is erased (5.14). */
const SecureErase = { none: 0, userData: 1 } as const;
/** MSET, PI and PIL: settings of metadata, of which there is none. */
const metadataSettings = 0x1f0;

const wrongFormat = mistake(Status.invalidFormat, Field.cdw10);
const wrongErase = mistake(Status.invalidField, Field.cdw10 + 1, 1);
const beingDeleted = mistake(Status.invalidField, Field.nsid);
const writeProtected = mistake(Status.namespaceWriteProtected, Field.nsid);

/** Format NVM (NVMe Base 2.0, 5.14): one namespace, attached or not, or all that are attached. */
export function formatNvm(controller: Controller, command: Command): boolean {
  if (command.step === JobStep.answered) return true;
  const { cdw10 } = command.sqe;
  const { namespaces } = controller;
  const one = namespaces.allocated(command.nsid);
  if (one === null && command.nsid !== allNamespaces) return command.fail(namespaces.missing(command.nsid));
  const erase = (cdw10 >>> 9) & 7;
  if (erase !== SecureErase.none && erase !== SecureErase.userData) return command.fail(wrongErase);
  const list = one === null ? [...namespaces.activeList] : [one];
  const index = formatIndex(cdw10, 12);
  for (const namespace of list) {
    const failure = wrongFor(namespace, index, cdw10);
    if (failure !== Status.success) return command.fail(failure);
  }
  if (list.length === 0) return true;
  return controller.jobs.answer(command, formatAll(controller, list, index));
}

function wrongFor(namespace: Namespace, index: number, cdw10: number): Failure {
  if (index >= namespace.formats.length || (cdw10 & metadataSettings) !== 0) return wrongFormat;
  if (namespace.backend.geometry.sizeBytes < namespace.formats[index]!) return wrongFormat;
  if (namespace.readOnly) return writeProtected;
  // Its zeroes could not be made durable, so what is there stays.
  if (namespace.flushFailed) return Status.writeFault;
  if (namespace.condemned) return beingDeleted;
  return namespace.formatting === null ? Status.success : Status.formatInProgress;
}

/** All at the same time, so that no command comes between. The first that fails is what the guest hears of. */
async function formatAll(controller: Controller, list: readonly Namespace[], index: number): Promise<Outcome> {
  const lbaBytes = (namespace: Namespace): LbaBytes => namespace.formats[index]!;
  const failures = await Promise.all(
    list.map((namespace) => formatNamespace(controller, namespace, lbaBytes(namespace))),
  );
  return { failure: failures.find((failure) => failure !== Status.success) ?? Status.success };
}

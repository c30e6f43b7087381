import type { HostBuffer } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { receive, transferred } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { controllerId } from '../limits.ts';
import { Field, mistake, Status } from '../status.ts';
import { JobStep } from './jobs.ts';

/** SEL (NVMe Base 2.0, 5.22). */
const Select = { attach: 0, detach: 1 } as const;

const listBytes = 4096;
/** Namespace Attachment (NVMe Base 2.0, 5.22): to and from this controller, since there is no other; no namespace is another's (119h). */
export function attachNamespace(controller: Controller, command: Command): boolean {
  if (command.step === JobStep.answered) return true;
  const { namespaces, jobs, management } = controller;
  const { nsid } = command;
  const select = command.sqe.cdw10 & 0xf;
  if (command.step === 0) {
    if (select !== Select.attach && select !== Select.detach) {
      return command.fail(mistake(Status.invalidField, Field.cdw10));
    }
    if (namespaces.allocated(nsid) === null) return command.fail(namespaces.missing(nsid));
  }
  if (command.step < transferred && !receive(controller, command, listBytes)) return false;
  if (command.status !== Status.success) return true;
  if (!isThisController(command.payload)) return command.fail(Status.controllerListInvalid);
  return jobs.answer(command, select === Select.attach ? management.attach(nsid) : management.detach(nsid));
}

/** A Controller List (4.4.1): how many, and their ids, ascending. */
function isThisController({ view }: HostBuffer): boolean {
  return view.getUint16(0, true) === 1 && view.getUint16(2, true) === controllerId;
}

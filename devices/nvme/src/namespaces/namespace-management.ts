import type { RecordOf } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { allNamespaces, CreateNamespace } from '../command/commands.ts';
import { receive, transferred } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { JobStep } from './jobs.ts';
import { formatIndex, lbaFormats } from './lba-formats.ts';

/** SEL (NVMe Base 2.0, 5.23). */
const Select = { create: 0, delete: 1 } as const;

/** FLBAS: metadata at the end of the block; there is none. */
const extendedLba = 1 << 4;

/** Namespace Management (NVMe Base 2.0, 5.23). */
export function manageNamespace(controller: Controller, command: Command): boolean {
  if (command.step === JobStep.answered) return true;
  switch (command.sqe.cdw10 & 0xf) {
    case Select.create:
      return create(controller, command);
    case Select.delete:
      return remove(controller, command);
    default:
      return command.fail(mistake(Status.invalidField, Field.cdw10));
  }
}

function create(controller: Controller, command: Command): boolean {
  if (command.step === 0) {
    if (command.nsid !== 0) return command.fail(mistake(Status.invalidField, Field.nsid));
    if (command.sqe.cdw11 >>> 24 !== 0) return command.fail(mistake(Status.commandSetUnsupported, Field.cdw11 + 3));
  }
  if (command.step < transferred && !receive(controller, command, CreateNamespace.sizeBytes)) return false;
  if (command.status !== Status.success) return true;
  const fields = CreateNamespace.over(command.payload);
  const failure = wrongFields(fields);
  if (failure !== Status.success) return command.fail(failure);
  const lbaBytes = lbaFormats[formatIndex(fields.flbas, 5)]!;
  const sizeBytes = fields.nsze * lbaBytes;
  command.specific = sizeBytes;
  return controller.jobs.answer(command, controller.management.create(sizeBytes, lbaBytes));
}

/** What of the host's structure cannot be had (NVM Command Set 1.0, 4.1.6). */
function wrongFields(fields: RecordOf<typeof CreateNamespace>): Failure {
  const { nsze, ncap, flbas } = fields;
  if (nsze === 0 || ncap > nsze) return Status.invalidField;
  if (ncap < nsze) return Status.thinProvisioningUnsupported;
  if (formatIndex(flbas, 5) >= lbaFormats.length || (flbas & extendedLba) !== 0) return Status.invalidFormat;
  // Protection information needs metadata; a shared namespace a second controller.
  if (fields.dps !== 0) return Status.invalidFormat;
  if (fields.nmic !== 0) return Status.invalidField;
  if (fields.anagrpid !== 0) return Status.anaGroupInvalid;
  return fields.nvmsetid === 0 && fields.endgid === 0 && fields.lbstm === 0 ? Status.success : Status.invalidField;
}

function remove(controller: Controller, command: Command): boolean {
  const { nsid } = command;
  const { namespaces, jobs, management } = controller;
  if (nsid !== allNamespaces && namespaces.allocated(nsid) === null) return command.fail(namespaces.missing(nsid));
  return jobs.answer(command, management.delete(nsid));
}

import type { HostBuffer } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { allNamespaces, Cns, nvmCommandSet } from '../command/commands.ts';
import { send } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { controllerId } from '../limits.ts';
import { lbaFormats } from '../namespaces/lba-formats.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { fillController } from './identify-controller.ts';
import { describeNamespace, fillCommon, fillFormat, fillIndependent, fillNamespace } from './identify-namespace.ts';

/** CNTID for the controller that is asked. */
const thisController = 0xffff;

const noStructure = mistake(Status.invalidField, Field.cdw10);
const noController = mistake(Status.invalidField, Field.cdw10 + 2);
const noCommandSet = mistake(Status.invalidField, Field.cdw11 + 3);
const noFormat = mistake(Status.invalidField, Field.cdw11);
const wrongNamespace = mistake(Status.invalidNamespace, Field.nsid);

/** Identify (NVMe Base 2.0, 5.17). */
export function identify(controller: Controller, command: Command): boolean {
  if (command.step === 0) {
    command.payload.bytes.fill(0);
    const failure = fill(controller, command, command.payload);
    if (failure !== Status.success) return command.fail(failure);
  }
  return send(controller, command, command.payload, 4096);
}

/** Structures that ask for a command set (CSI). */
const ofCommandSet: readonly number[] = [
  Cns.ioNamespace,
  Cns.ioFormatNamespace,
  Cns.ioController,
  Cns.ioActiveNamespaces,
  Cns.ioAllocatedNamespaces,
  Cns.ioAllocatedNamespace,
];

/** Fills a page of zeroes: what is not reported is zero, and so is a namespace that is valid and not there (3.2.1.4). */
function fill(controller: Controller, command: Command, page: HostBuffer): Failure {
  const { nsid } = command;
  const { cdw10, cdw11 } = command.sqe;
  const { namespaces } = controller;
  const cns = cdw10 & 0xff;
  const controllerAsked = cdw10 >>> 16;
  const active = namespaces.active(nsid);
  const allocated = namespaces.allocated(nsid);
  if (ofCommandSet.includes(cns) && cdw11 >>> 24 !== nvmCommandSet) return noCommandSet;
  switch (cns) {
    case Cns.controller:
      fillController(controller, page);
      return Status.success;
    case Cns.ioController:
      // Limits of the NVM command set that MDTS does not say (NVM 1.0, figure 102): all zero, none is less.
      return Status.success;
    case Cns.activeNamespaces:
    case Cns.ioActiveNamespaces:
      return listNamespaces(namespaces.activeList, nsid, page);
    case Cns.allocatedNamespaces:
    case Cns.ioAllocatedNamespaces:
      return listNamespaces(namespaces.list, nsid, page);
    case Cns.namespace:
      if (nsid === allNamespaces) fillCommon(page);
      else if (active !== null) fillNamespace(active, page);
      else return checkValid(controller, nsid);
      return Status.success;
    case Cns.allocatedNamespace:
      if (allocated !== null) fillNamespace(allocated, page);
      return checkValid(controller, nsid);
    case Cns.ioNamespace:
      // No metadata, so the whole structure is zero (NVM 1.0, figure 100), and what is common to all namespaces too.
      return nsid === allNamespaces ? Status.success : checkValid(controller, nsid);
    case Cns.ioAllocatedNamespace:
      return checkValid(controller, nsid);
    case Cns.formatNamespace:
    case Cns.ioFormatNamespace: {
      const lbaBytes = lbaFormats[cdw11 & 0xffff];
      if (lbaBytes === undefined) return noFormat;
      // As CNS 05h, that of the command set is all zeroes.
      if (cns === Cns.formatNamespace) fillFormat(lbaBytes, page);
      return Status.success;
    }
    case Cns.independentNamespace:
      if (active !== null) fillIndependent(active, page);
      return checkValid(controller, nsid);
    case Cns.namespaceDescriptors:
      if (active === null) return namespaces.missing(nsid);
      describeNamespace(active, page);
      return Status.success;
    case Cns.namespaceControllers:
      if (allocated === null) return namespaces.missing(nsid);
      if (allocated.attached) listController(controllerAsked, page);
      return Status.success;
    case Cns.controllers:
      listController(controllerAsked, page);
      return Status.success;
    case Cns.ioCommandSets:
      if (controllerAsked !== thisController && controllerAsked !== controllerId) return noController;
      // One combination, vector 0: the NVM command set.
      page.view.setUint8(0, 1 << nvmCommandSet);
      return Status.success;
    default:
      return noStructure;
  }
}

function checkValid(controller: Controller, nsid: number): Failure {
  return nsid >= 1 && nsid <= controller.namespaces.limit ? Status.success : wrongNamespace;
}

/** A Controller List (4.4.1) from an id on. */
function listController(from: number, page: HostBuffer): void {
  if (from > controllerId) return;
  page.view.setUint16(0, 1, true);
  page.view.setUint16(2, controllerId, true);
}

/** Up to 1,024 ids above `after`, ascending. */
function listNamespaces(list: readonly Namespace[], after: number, page: HostBuffer): Failure {
  if (after >= allNamespaces - 1) return wrongNamespace;
  let index = 0;
  for (const { nsid } of list) {
    if (nsid > after && index < 1024) page.view.setUint32(4 * index++, nsid, true);
  }
  return Status.success;
}

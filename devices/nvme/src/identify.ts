import type { HostBuffer } from '@sidecard/core';
import type { Command } from './command.ts';
import { AdminOpcode, allNamespaces, Cns, nvmCommandSet } from './commands.ts';
import type { Controller } from './controller.ts';
import { mostBurst } from './features.ts';
import {
  announcedNotices,
  deallocatedReadsZeroes,
  formatProgress,
  IdentifyController,
  IdentifyNamespace,
  IndependentNamespace,
  LbaFormat,
  Lpa,
  longHostIdentifier,
  NamespaceIdentifier,
  namespaceReady,
  Oacs,
  Oncs,
  optimalPerformance,
  saveAndSelect,
  timestamp,
  writeProtected,
  writeZeroesDeallocates,
} from './identify-records.ts';
import { modelNumber, pciVendor } from './identity.ts';
import { type LbaBytes, lbaFormats, relativePerformance } from './lba-formats.ts';
import {
  abortLimit,
  asyncEventRequests,
  controllerId,
  errorLogEntries,
  maxQueueEntries,
  mdts,
  readyTimeout,
  shutdownTimeoutUs,
} from './limits.ts';
import type { Namespace } from './namespace.ts';
import type { OpcodeTable } from './opcode.ts';
import { specificationVersion } from './registers.ts';
import { sglSupport } from './sgl.ts';
import { type Failure, Status } from './status.ts';
import { criticalKelvin, warningKelvin } from './temperature.ts';
import { send } from './transfer.ts';

/** Identify (NVMe Base 2.0, 5.17). */
export function identify(controller: Controller, command: Command): boolean {
  if (command.step === 0) {
    command.payload.bytes.fill(0);
    const status = fill(controller, command, command.payload);
    if (status !== Status.success) return command.fail(status);
  }
  return send(controller, command, command.payload, 4096);
}

function fill(controller: Controller, command: Command, page: HostBuffer): Failure {
  const cns = command.sqe.cdw10 & 0xff;
  const csi = command.sqe.cdw11 >>> 24;
  const { nsid } = command;
  const namespace = controller.namespaces.active(nsid);
  switch (cns) {
    case Cns.controller:
      fillController(controller, page);
      return Status.success;
    case Cns.ioController:
      // Limits of the NVM command set that MDTS does not say (NVM 1.0, figure 102): all zero, none is less.
      return csi === nvmCommandSet ? Status.success : Status.invalidField;
    case Cns.ioActiveNamespaces:
      if (csi !== nvmCommandSet) return Status.invalidField;
      return listNamespaces(controller.namespaces.activeList, nsid, page);
    case Cns.activeNamespaces:
      return listNamespaces(controller.namespaces.activeList, nsid, page);
    case Cns.ioCommandSets:
      // One combination, vector 0: the NVM command set.
      page.view.setUint8(0, 1 << nvmCommandSet);
      return Status.success;
    case Cns.ioNamespace:
      if (csi !== nvmCommandSet) return Status.invalidField;
      // No metadata, so the whole structure is zero (NVM 1.0, figure 100).
      if (nsid === allNamespaces) return Status.success;
      return namespace === null ? controller.namespaces.missing(nsid) : Status.success;
    case Cns.namespace:
      // An inactive namespace is all zeroes (3.2.1.4).
      if (namespace !== null) fillNamespace(namespace, page);
      else if (nsid === allNamespaces) fillCommon(page);
      else if (nsid === 0 || nsid > controller.namespaces.limit) return controller.namespaces.missing(nsid);
      return Status.success;
    case Cns.namespaceDescriptors:
      if (namespace === null) return controller.namespaces.missing(nsid);
      describeNamespace(namespace, page);
      return Status.success;
    case Cns.independentNamespace: {
      if (namespace === null) return controller.namespaces.missing(nsid);
      const record = IndependentNamespace.over(page);
      record.nsattr = namespace.readOnly ? writeProtected : 0;
      record.fpi = formatProgress | namespace.formatRemaining;
      record.nstat = namespace.unavailable === Status.success ? namespaceReady : 0;
      return Status.success;
    }
    default:
      return fillForManagement(controller, command, page);
  }
}

/** What Namespace Management asks for besides: namespaces whether attached or not, and controllers. */
function fillForManagement(controller: Controller, command: Command, page: HostBuffer): Failure {
  const { nsid } = command;
  const { cdw10, cdw11 } = command.sqe;
  const { namespaces } = controller;
  const namespace = namespaces.allocated(nsid);
  switch (cdw10 & 0xff) {
    case Cns.ioAllocatedNamespaces:
      if (cdw11 >>> 24 !== nvmCommandSet) return Status.invalidField;
      return listNamespaces(namespaces.list, nsid, page);
    case Cns.allocatedNamespaces:
      return listNamespaces(namespaces.list, nsid, page);
    case Cns.ioAllocatedNamespace:
      if (cdw11 >>> 24 !== nvmCommandSet) return Status.invalidField;
      return namespace === null ? namespaces.missing(nsid) : Status.success;
    case Cns.allocatedNamespace:
      // One that is not allocated is all zeroes.
      if (namespace !== null) fillNamespace(namespace, page);
      else if (nsid === 0 || nsid > namespaces.limit) return namespaces.missing(nsid);
      return Status.success;
    case Cns.namespaceControllers:
      if (namespace === null) return namespaces.missing(nsid);
      if (namespace.attached) listController(cdw10 >>> 16, page);
      return Status.success;
    case Cns.controllers:
      listController(cdw10 >>> 16, page);
      return Status.success;
    default:
      return Status.invalidField;
  }
}

/** A Controller List (4.4.1) from an id on. */
function listController(from: number, page: HostBuffer): void {
  if (from > controllerId) return;
  page.view.setUint16(0, 1, true);
  page.view.setUint16(2, controllerId, true);
}

/** The bits of the optional commands that are in the table. */
function announced(table: OpcodeTable, bits: { readonly [opcode: number]: number }): number {
  return Object.entries(bits).reduce((sum, [opcode, bit]) => (table[Number(opcode)] === null ? sum : sum | bit), 0);
}

function fillController(controller: Controller, page: HostBuffer): void {
  const record = IdentifyController.over(page);
  record.vid = pciVendor;
  record.ssvid = pciVendor;
  record.sn = controller.who.serialNumber;
  record.mn = modelNumber;
  record.fr = controller.firmwareRevision;
  record.rab = mostBurst;
  record.mdts = mdts;
  record.ver = specificationVersion;
  record.rtd3r = readyTimeout * 500_000;
  record.rtd3e = shutdownTimeoutUs;
  record.oaes = announcedNotices;
  record.ctratt = longHostIdentifier;
  record.cntlid = controllerId;
  record.cntrltype = 1; // I/O controller
  record.oacs = announced(controller.opcodes.admin, Oacs);
  if (!controller.offersShadowDoorbells) record.oacs &= ~Oacs[AdminOpcode.doorbellBufferConfig]!;
  record.acl = abortLimit - 1;
  record.aerl = asyncEventRequests - 1;
  record.frmw = (1 << 1) | 1; // one slot, read-only
  record.lpa = Lpa.commandEffects | Lpa.extendedData | Lpa.supportedLogPages;
  record.elpe = errorLogEntries - 1;
  record.wctemp = warningKelvin;
  record.cctemp = criticalKelvin;
  record.tnvmcap = controller.management.totalBytes;
  record.unvmcap = controller.management.unallocatedBytes;
  record.sqes = 0x66; // 64 bytes, no more and no less
  record.cqes = 0x44;
  record.maxcmd = maxQueueEntries;
  record.nn = controller.namespaces.limit;
  record.mnan = record.nn;
  record.oncs = announced(controller.opcodes.io, Oncs) | saveAndSelect | timestamp;
  record.vwc = (controller.hasVolatileCache ? 1 : 0) | (0b11 << 1); // Flush takes nsid FFFFFFFFh
  record.sgls = sglSupport;
  page.bytes.set(Buffer.from(controller.who.subnqn), IdentifyController.fields.subnqn.offset);
  record.psd0mp = 2500;
}

function fillNamespace(namespace: Namespace, page: HostBuffer): void {
  const { geometry } = namespace.backend;
  const record = IdentifyNamespace.over(page);
  record.nsze = namespace.blocks;
  record.ncap = namespace.blocks;
  record.nuse = namespace.blocks;
  record.nvmcap = geometry.sizeBytes;
  record.nsfeat = optimalPerformance;
  record.fpi = formatProgress | namespace.formatRemaining;
  record.nlbaf = namespace.formats.length - 1;
  record.flbas = namespace.formats.indexOf(namespace.lbaBytes);
  describeFormats(namespace.formats, page);
  record.dlfeat = geometry.discardReadsZeroes ? deallocatedReadsZeroes | writeZeroesDeallocates : 0;
  const preferred = Math.max(4096, namespace.lbaBytes) / namespace.lbaBytes - 1;
  record.npwg = preferred;
  record.npwa = preferred;
  record.nows = preferred;
  const discarded = Math.max(1, Math.floor(geometry.discardGranularityBytes / namespace.lbaBytes)) - 1;
  record.npdg = Math.min(discarded, 0xffff);
  record.npda = record.npdg;
  record.nsattr = namespace.readOnly ? writeProtected : 0;
  page.bytes.set(namespace.identity.nguid, IdentifyNamespace.fields.nguid.offset);
  page.bytes.set(namespace.identity.eui64, IdentifyNamespace.fields.eui64.offset);
}

/** What all namespaces can be made to be (nsid FFFFFFFFh). */
function fillCommon(page: HostBuffer): void {
  const record = IdentifyNamespace.over(page);
  record.nsfeat = optimalPerformance;
  record.fpi = formatProgress;
  record.nlbaf = lbaFormats.length - 1;
  describeFormats(lbaFormats, page);
}

function describeFormats(formats: readonly LbaBytes[], page: HostBuffer): void {
  for (const [index, lbaBytes] of formats.entries()) {
    const offset = IdentifyNamespace.fields.lbaf.offset + index * LbaFormat.sizeBytes;
    page.bytes[offset + LbaFormat.dataSize] = Math.log2(lbaBytes);
    page.bytes[offset + LbaFormat.performance] = relativePerformance[lbaBytes];
  }
}

/** Descriptors of type, length, two reserved bytes, and the identifier (figure 277). */
function describeNamespace(namespace: Namespace, page: HostBuffer): void {
  let offset = 0;
  const describe = (type: number, identifier: Uint8Array) => {
    page.bytes[offset] = type;
    page.bytes[offset + 1] = identifier.length;
    page.bytes.set(identifier, offset + 4);
    offset += 4 + identifier.length;
  };
  describe(NamespaceIdentifier.eui64, namespace.identity.eui64);
  describe(NamespaceIdentifier.nguid, namespace.identity.nguid);
  describe(NamespaceIdentifier.uuid, namespace.identity.uuid);
  describe(NamespaceIdentifier.csi, Uint8Array.of(nvmCommandSet));
}

/** Up to 1,024 ids above `after`, ascending. */
function listNamespaces(list: readonly Namespace[], after: number, page: HostBuffer): Failure {
  if (after >= allNamespaces - 1) return Status.invalidNamespace;
  let index = 0;
  for (const { nsid } of list) {
    if (nsid > after && index < 1024) page.view.setUint32(4 * index++, nsid, true);
  }
  return Status.success;
}

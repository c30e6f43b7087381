import type { HostBuffer } from '@sidecard/core';
import { nvmCommandSet } from '../command/commands.ts';
import { copyLimits } from '../io/copy.ts';
import { copyRanges } from '../limits.ts';
import { type LbaBytes, lbaFormats, relativePerformance } from '../namespaces/lba-formats.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { Status } from '../status.ts';
import {
  deallocatedReadsZeroes,
  formatProgress,
  IdentifyNamespace,
  IndependentNamespace,
  LbaFormat,
  NamespaceIdentifier,
  namespaceReady,
  optimalPerformance,
  writeProtected,
  writeZeroesDeallocates,
} from './identify-records.ts';

export function fillNamespace(namespace: Namespace, page: HostBuffer): void {
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
  fillPreferred(namespace.lbaBytes, page);
  const discarded = Math.max(1, Math.floor(geometry.discardGranularityBytes / namespace.lbaBytes)) - 1;
  record.npdg = Math.min(discarded, 0xffff);
  record.npda = record.npdg;
  const { mssrl, mcl } = copyLimits(namespace);
  record.mssrl = mssrl;
  record.mcl = mcl;
  record.msrc = copyRanges - 1;
  record.nsattr = namespace.readOnly ? writeProtected : 0;
  page.bytes.set(namespace.identity.nguid, IdentifyNamespace.fields.nguid.offset);
  page.bytes.set(namespace.identity.eui64, IdentifyNamespace.fields.eui64.offset);
}

/** What all namespaces can be made to be (nsid FFFFFFFFh). */
export function fillCommon(page: HostBuffer): void {
  const record = IdentifyNamespace.over(page);
  record.nsfeat = optimalPerformance;
  record.fpi = formatProgress;
  record.nlbaf = lbaFormats.length - 1;
  describeFormats(lbaFormats, page);
}

/** What a namespace of that LBA format can be (CNS 09h): nothing that is one namespace's own. */
export function fillFormat(lbaBytes: LbaBytes, page: HostBuffer): void {
  fillCommon(page);
  IdentifyNamespace.over(page).flbas = lbaFormats.indexOf(lbaBytes);
  fillPreferred(lbaBytes, page);
}

/** Writes of whole 4 KiB, as the file systems below have them. */
function fillPreferred(lbaBytes: LbaBytes, page: HostBuffer): void {
  const record = IdentifyNamespace.over(page);
  const preferred = Math.max(4096, lbaBytes) / lbaBytes - 1;
  record.npwg = preferred;
  record.npwa = preferred;
  record.nows = preferred;
}

function describeFormats(formats: readonly LbaBytes[], page: HostBuffer): void {
  for (const [index, lbaBytes] of formats.entries()) {
    const offset = IdentifyNamespace.fields.lbaf.offset + index * LbaFormat.sizeBytes;
    page.bytes[offset + LbaFormat.dataSize] = Math.log2(lbaBytes);
    page.bytes[offset + LbaFormat.performance] = relativePerformance[lbaBytes];
  }
}

/** Descriptors of type, length, two reserved bytes, and the identifier (figure 277). */
export function describeNamespace(namespace: Namespace, page: HostBuffer): void {
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

/** I/O Command Set Independent Identify Namespace (NVMe Base 2.0, figure 280). */
export function fillIndependent(namespace: Namespace, page: HostBuffer): void {
  const record = IndependentNamespace.over(page);
  record.nsattr = namespace.readOnly ? writeProtected : 0;
  record.fpi = formatProgress | namespace.formatRemaining;
  record.nstat = namespace.unavailable === Status.success ? namespaceReady : 0;
}

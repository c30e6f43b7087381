import type { HostBuffer } from '@sidecard/core';
import { AdminOpcode } from '../command/commands.ts';
import type { OpcodeTable } from '../command/opcode.ts';
import { sglSupport } from '../command/sgl.ts';
import type { Controller } from '../controller.ts';
import { mostBurst } from '../features/features.ts';
import { criticalKelvin, warningKelvin } from '../features/temperature.ts';
import { modelNumber, pciVendor } from '../identity.ts';
import { copyFormats } from '../io/copy.ts';
import {
  abortLimit,
  asyncEventRequests,
  controllerId,
  errorLogEntries,
  maxQueueEntries,
  mdts,
  readyTimeout,
  shutdownTimeoutUs,
} from '../limits.ts';
import { specificationVersion } from '../registers.ts';
import {
  announcedNotices,
  compareAndWrite,
  IdentifyController,
  Lpa,
  longHostIdentifier,
  Oacs,
  Oncs,
  saveAndSelect,
  timestamp,
} from './identify-records.ts';

/** The bits of the optional commands that are in the table. */
function announced(table: OpcodeTable, bits: { readonly [opcode: number]: number }): number {
  return Object.entries(bits).reduce((sum, [opcode, bit]) => (table[Number(opcode)] === null ? sum : sum | bit), 0);
}

export function fillController(controller: Controller, page: HostBuffer): void {
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
  record.fuses = compareAndWrite;
  record.ocfs = copyFormats;
  record.sgls = sglSupport;
  page.bytes.set(Buffer.from(controller.who.subnqn), IdentifyController.fields.subnqn.offset);
  record.psd0mp = 2500;
}

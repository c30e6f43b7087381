import { AdminOpcode, type NvmeCompletion } from './command.ts';
import type { NvmeDriver } from './nvme-driver.ts';

/** What a namespace is to be like (NVM Command Set 1.0, 4.1.6). */
export interface NewNamespace {
  readonly nsze: number;
  /** As NSZE unless given. */
  readonly ncap?: number;
  readonly flbas?: number;
  readonly dps?: number;
  readonly nmic?: number;
  readonly anagrpid?: number;
  readonly nvmsetid?: number;
  readonly endgid?: number;
  readonly lbstm?: number;
}

/** The completion, whatever its status, of a command that brings a page. */
async function submitPage(
  driver: NvmeDriver,
  command: { opcode: number; nsid: number; cdw10: number; cdw11?: number },
  page: Uint8Array,
  timeoutMs?: number,
): Promise<NvmeCompletion> {
  const prp1 = driver.ram.allocate(4096);
  driver.ram.store(prp1, page);
  const completion = await driver.submit(driver.admin, { ...command, prp1 }, timeoutMs);
  driver.ram.free(prp1);
  return completion;
}

/** Namespace Management, create; dword 0 of its completion is the nsid. */
export function createNamespace(
  driver: NvmeDriver,
  { nsze, ncap = nsze, flbas = 0, dps = 0, nmic = 0, anagrpid = 0, nvmsetid = 0, endgid = 0, lbstm = 0 }: NewNamespace,
  more: { nsid?: number; csi?: number; timeoutMs?: number } = {},
): Promise<NvmeCompletion> {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  view.setBigUint64(0, BigInt(nsze), true);
  view.setBigUint64(8, BigInt(ncap), true);
  page[26] = flbas;
  page[29] = dps;
  page[30] = nmic;
  view.setUint32(92, anagrpid, true);
  view.setUint16(100, nvmsetid, true);
  view.setUint16(102, endgid, true);
  view.setBigUint64(384, BigInt(lbstm), true);
  const { nsid = 0, csi = 0, timeoutMs } = more;
  const command = { opcode: AdminOpcode.namespaceManagement, nsid, cdw10: 0, cdw11: csi << 24 };
  return submitPage(driver, command, page, timeoutMs);
}

/** Namespace Management, delete: of a namespace, or of all (FFFFFFFFh). */
export function deleteNamespace(driver: NvmeDriver, nsid: number): Promise<NvmeCompletion> {
  return driver.submit(driver.admin, { opcode: AdminOpcode.namespaceManagement, nsid, cdw10: 1 });
}

/** Namespace Attachment, with a controller list (NVMe Base 2.0, 4.4.1). */
export function attachNamespace(
  driver: NvmeDriver,
  nsid: number,
  how: 'attach' | 'detach',
  controllers: readonly number[] = [0],
): Promise<NvmeCompletion> {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  for (const [index, id] of [controllers.length, ...controllers].entries()) view.setUint16(2 * index, id, true);
  const command = { opcode: AdminOpcode.namespaceAttachment, nsid, cdw10: how === 'attach' ? 0 : 1 };
  return submitPage(driver, command, page);
}

/** Format NVM. `cdw10`: LBA format in bits 3:0, secure erase in bits 11:9. */
export function formatNamespace(driver: NvmeDriver, nsid: number, cdw10: number): Promise<NvmeCompletion> {
  return driver.submit(driver.admin, { opcode: AdminOpcode.formatNvm, nsid, cdw10 });
}

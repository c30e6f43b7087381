/** A submission queue entry as a driver fills it in (NVMe Base 2.0, 3.3.3.1). What is left out is 0. */
export interface NvmeCommand {
  readonly opcode: number;
  /** FUSE in bits 1:0, PSDT in bits 7:6. */
  readonly flags?: number;
  /** Chosen by the queue unless given. */
  readonly cid?: number;
  readonly nsid?: number;
  readonly cdw2?: number;
  readonly cdw3?: number;
  readonly mptr?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  /** All 16 bytes of the data pointer (SGL1), instead of the PRP entries. */
  readonly dptr?: Uint8Array;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  readonly cdw13?: number;
  readonly cdw14?: number;
  readonly cdw15?: number;
}

export const SQE_BYTES = 64;
export const CQE_BYTES = 16;

export function encodeCommand(command: NvmeCommand, cid: number): Uint8Array {
  const bytes = new Uint8Array(SQE_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (offset: number, value = 0) => view.setUint32(offset, value, true);
  const put64 = (offset: number, value = 0) => view.setBigUint64(offset, BigInt(value), true);
  view.setUint8(0, command.opcode);
  view.setUint8(1, command.flags ?? 0);
  view.setUint16(2, cid, true);
  put(4, command.nsid);
  put(8, command.cdw2);
  put(12, command.cdw3);
  put64(16, command.mptr);
  put64(24, command.prp1);
  put64(32, command.prp2);
  if (command.dptr !== undefined) bytes.set(command.dptr, 24);
  put(40, command.cdw10);
  put(44, command.cdw11);
  put(48, command.cdw12);
  put(52, command.cdw13);
  put(56, command.cdw14);
  put(60, command.cdw15);
  return bytes;
}

/** A completion queue entry (3.3.3.2). */
export interface NvmeCompletion {
  readonly dw0: number;
  readonly dw1: number;
  readonly sqhd: number;
  readonly sqid: number;
  readonly cid: number;
  /** Status code type in bits 10:8, status code in bits 7:0; 0 is success. */
  readonly status: number;
  readonly more: boolean;
  readonly doNotRetry: boolean;
}

export function decodeCompletion(bytes: Uint8Array): NvmeCompletion {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const status = view.getUint16(14, true) >>> 1;
  return {
    dw0: view.getUint32(0, true),
    dw1: view.getUint32(4, true),
    sqhd: view.getUint16(8, true),
    sqid: view.getUint16(10, true),
    cid: view.getUint16(12, true),
    status: status & 0x7ff,
    more: (status & 0x2000) !== 0,
    doNotRetry: (status & 0x4000) !== 0,
  };
}

/** Opcodes of NVMe Base 2.0 (figure 138) and the NVM command set (figure 21). */
export const AdminOpcode = {
  deleteSubmissionQueue: 0x00,
  createSubmissionQueue: 0x01,
  getLogPage: 0x02,
  deleteCompletionQueue: 0x04,
  createCompletionQueue: 0x05,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEventRequest: 0x0c,
  namespaceManagement: 0x0d,
  namespaceAttachment: 0x15,
  doorbellBufferConfig: 0x7c,
  formatNvm: 0x80,
} as const;
export const NvmOpcode = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  writeUncorrectable: 0x04,
  compare: 0x05,
  writeZeroes: 0x08,
  datasetManagement: 0x09,
  verify: 0x0c,
  copy: 0x19,
} as const;

/** A command that ended with a status other than success. */
export class NvmeError extends Error {
  readonly completion: NvmeCompletion;

  constructor(completion: NvmeCompletion, opcode: number) {
    const { status } = completion;
    super(`opcode ${hex(opcode)} ended with status ${hex(status >>> 8)}/${hex(status & 0xff)}`);
    this.completion = completion;
  }
}

function hex(value: number): string {
  return `${value.toString(16)}h`;
}

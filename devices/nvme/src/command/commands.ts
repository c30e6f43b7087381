import { le8, le16, le32, le64, struct } from '@sidecard/core';

/** Submission queue entry (NVMe Base 2.0, 3.3.3.1, figure 86). */
export const SubmissionEntry = struct(64, {
  opcode: le8(0),
  fuse: le8(1).bits(1, 0),
  psdt: le8(1).bits(7, 6),
  cid: le16(2),
  nsid: le32(4),
  cdw2: le32(8),
  cdw3: le32(12),
  mptr: le64(16),
  prp1: le64(24),
  prp2: le64(32),
  cdw10: le32(40),
  cdw11: le32(44),
  cdw12: le32(48),
  cdw13: le32(52),
  cdw14: le32(56),
  cdw15: le32(60),
});

/** Completion queue entry (NVMe Base 2.0, 3.3.3.2). `status` is the status field without the phase tag. */
export const CompletionEntry = struct(16, {
  dw0: le32(0),
  dw1: le32(4),
  sqhd: le16(8),
  sqid: le16(10),
  cid: le16(12),
  phase: le16(14).bits(0),
  status: le16(14).bits(15, 1),
});

/** One range of Dataset Management (NVM 1.0, 3.2.3.1). */
export const DatasetRange = struct(16, { attributes: le32(0), lengthBlocks: le32(4), slba: le64(8) });

/** What a namespace is to be like: Namespace Management, create (NVM Command Set 1.0, 4.1.6). */
export const CreateNamespace = struct(4096, {
  nsze: le64(0),
  ncap: le64(8),
  flbas: le8(26),
  dps: le8(29),
  nmic: le8(30),
  anagrpid: le32(92),
  nvmsetid: le16(100),
  endgid: le16(102),
  lbstm: le64(384),
});

/** NVMe Base 2.0, figure 138. */
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

/** NVM Command Set 1.0, figure 21. */
export const IoOpcode = {
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

/** Identify, controller or namespace structure (NVMe Base 2.0, figure 273). */
export const Cns = {
  namespace: 0x00,
  controller: 0x01,
  activeNamespaces: 0x02,
  namespaceDescriptors: 0x03,
  ioNamespace: 0x05,
  ioController: 0x06,
  ioActiveNamespaces: 0x07,
  independentNamespace: 0x08,
  formatNamespace: 0x09,
  ioFormatNamespace: 0x0a,
  allocatedNamespaces: 0x10,
  allocatedNamespace: 0x11,
  namespaceControllers: 0x12,
  controllers: 0x13,
  ioAllocatedNamespaces: 0x1a,
  ioAllocatedNamespace: 0x1b,
  ioCommandSets: 0x1c,
} as const;

/** NVMe Base 2.0, figure 202. */
export const LogPage = {
  supported: 0x00,
  error: 0x01,
  health: 0x02,
  firmware: 0x03,
  changedNamespaces: 0x04,
  commandEffects: 0x05,
  supportedFeatures: 0x12,
  supportedManagement: 0x13,
} as const;

/** NVMe Base 2.0, figure 317. */
export const Feature = {
  arbitration: 0x01,
  powerManagement: 0x02,
  temperatureThreshold: 0x04,
  errorRecovery: 0x05,
  volatileWriteCache: 0x06,
  numberOfQueues: 0x07,
  interruptCoalescing: 0x08,
  interruptVector: 0x09,
  writeAtomicity: 0x0a,
  asyncEvents: 0x0b,
  timestamp: 0x0e,
  hostBehavior: 0x16,
  hostIdentifier: 0x81,
} as const;

/** Command set identifier of the NVM command set (NVMe Base 2.0, figure 274), the only one here. */
export const nvmCommandSet = 0;
/** nsid that means every namespace. */
export const allNamespaces = 0xffff_ffff;

export const ErrorLogEntry = struct(64, {
  errorCount: le64(0),
  sqid: le16(8),
  cid: le16(10),
  /** As in the completion, phase tag included. */
  status: le16(12),
  parameterLocation: le16(14),
  lba: le64(16),
  nsid: le32(24),
  /** Command specific information. */
  specific: le64(32),
});

import { ascii, bytes, le8, le16, le32, le64, struct } from '@sidecard/core';
import { AdminOpcode, IoOpcode } from '../command/commands.ts';

/** Identify Controller (NVMe Base 2.0, figure 275). What is not named here is zero: not supported, or not reported. */
export const IdentifyController = struct(4096, {
  vid: le16(0),
  ssvid: le16(2),
  sn: ascii(4, 20),
  mn: ascii(24, 40),
  fr: ascii(64, 8),
  rab: le8(72),
  ieee: bytes(73, 3),
  cmic: le8(76),
  mdts: le8(77),
  cntlid: le16(78),
  ver: le32(80),
  rtd3r: le32(84),
  rtd3e: le32(88),
  oaes: le32(92),
  ctratt: le32(96),
  cntrltype: le8(111),
  oacs: le16(256),
  acl: le8(258),
  aerl: le8(259),
  frmw: le8(260),
  lpa: le8(261),
  elpe: le8(262),
  npss: le8(263),
  wctemp: le16(266),
  cctemp: le16(268),
  /** 16 bytes each, of which the upper 8 are zero here. */
  tnvmcap: le64(280),
  unvmcap: le64(296),
  kas: le16(320),
  sqes: le8(512),
  cqes: le8(513),
  maxcmd: le16(514),
  nn: le32(516),
  oncs: le16(520),
  fuses: le16(522),
  fna: le8(524),
  vwc: le8(525),
  awun: le16(526),
  awupf: le16(528),
  acwu: le16(532),
  ocfs: le16(534),
  sgls: le32(536),
  mnan: le32(540),
  subnqn: bytes(768, 256),
  /** Power state 0, maximum power in units of 0.01 W. */
  psd0mp: le16(2048),
});

/** OAES: notices of namespaces that have changed. The bits are those of asynchronous event configuration (feature 0Bh). */
export const announcedNotices = 1 << 8;
/** OACS (figure 275): the bit of each optional admin command. */
export const Oacs: { readonly [opcode: number]: number } = {
  [AdminOpcode.formatNvm]: 1 << 1,
  [AdminOpcode.namespaceManagement]: 1 << 3,
  [AdminOpcode.doorbellBufferConfig]: 1 << 8,
};
/** ONCS: the bit of each optional I/O command. */
export const Oncs: { readonly [opcode: number]: number } = {
  [IoOpcode.compare]: 1 << 0,
  [IoOpcode.writeUncorrectable]: 1 << 1,
  [IoOpcode.datasetManagement]: 1 << 2,
  [IoOpcode.writeZeroes]: 1 << 3,
  [IoOpcode.verify]: 1 << 7,
  [IoOpcode.copy]: 1 << 8,
};
/** FUSES: Compare and Write. */
export const compareAndWrite = 1 << 0;
/** ONCS: the Save and Select fields of features, and the Timestamp feature. */
export const saveAndSelect = 1 << 4;
export const timestamp = 1 << 6;
/** CTRATT: host identifiers of 128 bits. */
export const longHostIdentifier = 1 << 0;
/** LPA: the effects log, offsets in logs, and the supported log pages with what comes with them. */
export const Lpa = { commandEffects: 1 << 1, extendedData: 1 << 2, supportedLogPages: 1 << 5 } as const;

/** Identify Namespace of the NVM command set (NVM 1.0, figure 97). */
export const IdentifyNamespace = struct(4096, {
  nsze: le64(0),
  ncap: le64(8),
  nuse: le64(16),
  nsfeat: le8(24),
  nlbaf: le8(25),
  flbas: le8(26),
  nmic: le8(30),
  fpi: le8(32),
  dlfeat: le8(33),
  nvmcap: le64(48),
  npwg: le16(64),
  npwa: le16(66),
  npdg: le16(68),
  npda: le16(70),
  nows: le16(72),
  mssrl: le16(74),
  mcl: le32(76),
  msrc: le8(80),
  nsattr: le8(99),
  nguid: bytes(104, 16),
  eui64: bytes(120, 8),
  lbaf: bytes(128, 64),
});

/** FPI: how much of a format is left is told. */
export const formatProgress = 1 << 7;

/** An LBA format, 4 bytes: LBADS at 16, RP at 24 (NVM 1.0, figure 98). */
export const LbaFormat = { dataSize: 2, performance: 3, sizeBytes: 4 } as const;

/** NSFEAT: NPWG to NOWS are defined. */
export const optimalPerformance = 1 << 4;
/** NSATTR: currently write protected. */
export const writeProtected = 1 << 0;
/** DLFEAT: deallocated blocks read zeroes (001b), and Write Zeroes has the deallocate bit. */
export const deallocatedReadsZeroes = 0b001;
export const writeZeroesDeallocates = 1 << 3;

/** I/O Command Set Independent Identify Namespace (NVMe Base 2.0, figure 280). */
export const IndependentNamespace = struct(4096, { nmic: le8(1), fpi: le8(3), nsattr: le8(8), nstat: le8(14) });
/** NSTAT: ready. */
export const namespaceReady = 1 << 0;

/** Namespace Identification Descriptor types (NVMe Base 2.0, figure 277). */
export const NamespaceIdentifier = { eui64: 1, nguid: 2, uuid: 3, csi: 4 } as const;

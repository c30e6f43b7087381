import { array, registers, ro, rw, u32, u64, w1c, w1s, wo } from '@sidecard/core';
import { doorbellPageBytes, doorbellsOffset, maxQueueEntries, mpsMax, mpsMin, readyTimeout } from './limits.ts';

/** NVM Express Base 2.0. */
export const specificationVersion = 0x0002_0000;

/** BAR0 up to the doorbells (NVMe Base 2.0, 3.1.3). Offsets without a register read zero: no CMB, PMR or boot partitions. */
export const ControllerRegisters = registers(doorbellsOffset, {
  /** 3.1.3.1 */
  cap: u64(0x00, {
    mqes: ro(15, 0, maxQueueEntries - 1),
    /** Queues must be physically contiguous. */
    cqr: ro(16, 16, 1),
    /** Weighted round robin with urgent priority class. */
    ams: ro(18, 17, 1),
    to: ro(31, 24, readyTimeout),
    dstrd: ro(35, 32),
    nssrs: ro(36, 36, 1),
    /** The NVM command set only; bit 6 (I/O command sets by feature 19h) stays clear. */
    css: ro(44, 37, 1),
    mpsmin: ro(51, 48, mpsMin),
    mpsmax: ro(55, 52, mpsMax),
    /** Controller ready with media, no independent ready: CC.CRIME is read-only zero. */
    crms: ro(60, 59, 1),
  }),
  /** 3.1.3.2 */
  vs: u32(0x08, ro, specificationVersion),
  /** 3.1.3.3, 3.1.3.4: one mask, read at both places. */
  intms: u32(0x0c, w1s),
  intmc: u32(0x10, w1c),
  /** 3.1.3.5 */
  cc: u32(0x14, {
    en: rw(0),
    css: rw(6, 4),
    mps: rw(10, 7),
    ams: rw(13, 11),
    shn: rw(15, 14),
    iosqes: rw(19, 16),
    iocqes: rw(23, 20),
  }),
  /** 3.1.3.6 */
  csts: u32(0x1c, { rdy: ro(0), cfs: ro(1), shst: ro(3, 2), nssro: w1c(4) }),
  /** 3.1.3.7 */
  nssr: u32(0x20, wo),
  /** 3.1.3.8 */
  aqa: u32(0x24, { asqs: rw(11, 0), acqs: rw(27, 16) }),
  /** 3.1.3.9, 3.1.3.10: the page number, 4 KiB pages. */
  asq: u64(0x28, { page: rw(63, 12) }),
  acq: u64(0x30, { page: rw(63, 12) }),
  /** 3.1.3.24 */
  crto: u32(0x68, { crwmt: ro(15, 0, readyTimeout), crimt: ro(31, 16) }),
});

/** The doorbells (NVMe over PCIe Transport 1.0, 3.1.2): a page of them, of queues that can be and of others, which are a mistake to ring. */
export const DoorbellRegisters = registers(doorbellPageBytes, {
  queue: array(doorbellPageBytes / 8, 8, {
    tail: u32(0, wo),
    head: u32(4, wo),
  }),
});

/** "NVMe", which makes a write to NSSR a reset. */
export const subsystemResetKey = 0x4e56_4d65;

/** CSTS.SHST (3.1.3.6). */
export const ShutdownStatus = { none: 0, processing: 1, complete: 2 } as const;

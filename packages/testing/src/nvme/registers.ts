import { registers, ro, rw, u32, u64 } from '@sidecard/core';

/** BAR0 as a driver knows it (NVMe Base 2.0, 3.1.3); doorbells begin at 1000h. */
export const NvmeRegisters = registers(0x1000, {
  cap: u64(0x00, {
    mqes: ro(15, 0),
    cqr: ro(16),
    timeout: ro(31, 24),
    dstrd: ro(35, 32),
    css: ro(44, 37),
    mpsmin: ro(51, 48),
    mpsmax: ro(55, 52),
  }),
  vs: u32(0x08, ro),
  intms: u32(0x0c, rw),
  intmc: u32(0x10, rw),
  cc: u32(0x14, {
    en: rw(0),
    css: rw(6, 4),
    mps: rw(10, 7),
    ams: rw(13, 11),
    shn: rw(15, 14),
    iosqes: rw(19, 16),
    iocqes: rw(23, 20),
  }),
  csts: u32(0x1c, { rdy: ro(0), cfs: ro(1), shst: ro(3, 2), nssro: ro(4), pp: ro(5) }),
  nssr: u32(0x20, rw),
  aqa: u32(0x24, rw),
  asq: u64(0x28, rw),
  acq: u64(0x30, rw),
});

export const DOORBELLS_OFFSET = 0x1000;

import type { RegisterFile } from '@sidecard/core';
import { mpsMax, mpsMin } from './limits.ts';
import { ArbitrationMechanism } from './queues/arbitration.ts';
import type { ControllerRegisters } from './registers.ts';

/** CSS, MPS and AMS: may be written only while disabled (NVMe Base 2.0, 3.1.3.5), and stay as they are otherwise. */
export const fixedFields = 0x3ff0;

/** What a controller with this configuration cannot do (3.1.3.5, 3.1.3.8 to 3.1.3.10), or null. */
export function wrongConfiguration(registers: RegisterFile<typeof ControllerRegisters.declaration>): string | null {
  const { cc, aqa, asq, acq } = registers;
  if (cc.css !== 0) return 'CC.CSS is not the NVM command set';
  if (cc.ams > ArbitrationMechanism.weightedRoundRobin) return 'CC.AMS is not a mechanism of CAP';
  if (cc.mps < mpsMin || cc.mps > mpsMax) return 'CC.MPS is not a page size of CAP';
  if (aqa.asqs === 0 || aqa.acqs === 0) return 'AQA has a queue of one entry';
  const pages = 1 << cc.mps;
  return asq.page % pages !== 0 || acq.page % pages !== 0 ? 'ASQ or ACQ is not the address of a page' : null;
}

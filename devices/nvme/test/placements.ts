import type { DataOptions } from '@sidecard/testing';

/** PRP entries and lists of every form. */
export const prpPlacements: readonly DataOptions[] = [
  {},
  { pageOffset: 512 },
  { scattered: true },
  { scattered: true, pageOffset: 2048, listOffset: 4080 },
];

/** SGLs of every form, for data of any length. */
export const sglPlacements: readonly DataOptions[] = [
  { sgl: {} },
  { sgl: { offset: 1, excessBytes: 4096 } },
  { sgl: { parts: [4096], scattered: true, metadataSgl: true } },
  { sgl: { parts: [1, 511, 3585, 0, 4095], segmentDescriptors: 7 } },
  { sgl: { parts: [5000, 0, 3], scattered: true, segmentDescriptors: 2 } },
];

export const placements = [...prpPlacements, ...sglPlacements];

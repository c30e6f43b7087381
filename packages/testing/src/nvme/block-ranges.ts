import { type NvmeCommand, NvmOpcode } from './command.ts';
import type { DataOptions } from './data-buffer.ts';

/** Logical blocks, as lists in data have them. */
export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

export interface CopyOptions extends DataOptions {
  /** Of the source range entries; 0 unless given. */
  readonly format?: number;
  readonly fua?: boolean;
}

/** Ranges of Dataset Management (NVM Command Set 1.0, figure 41). */
export function datasetRanges(ranges: readonly BlockRange[]): Uint8Array {
  const data = new Uint8Array(ranges.length * 16);
  const view = new DataView(data.buffer);
  for (const [index, { lba, blocks }] of ranges.entries()) {
    view.setUint32(index * 16 + 4, blocks, true);
    view.setBigUint64(index * 16 + 8, BigInt(lba), true);
  }
  return data;
}

/** Source range entries of Copy (figures 34 and 35). What is not for blocks is FFh, which nobody is to look at. */
export function copySources(sources: readonly BlockRange[], { format = 0 }: CopyOptions = {}): Uint8Array {
  const sizeBytes = format === 0 ? 32 : 40;
  const data = new Uint8Array(sources.length * sizeBytes).fill(0xff);
  const view = new DataView(data.buffer);
  for (const [index, { lba, blocks }] of sources.entries()) {
    view.setBigUint64(index * sizeBytes + 8, BigInt(lba), true);
    view.setUint16(index * sizeBytes + 16, blocks - 1, true);
  }
  return data;
}

/** Copy (figures 29 and 30), without its data. */
export function copyCommand(
  nsid: number,
  lba: number,
  sources: readonly BlockRange[],
  { format = 0, fua = false }: CopyOptions = {},
): NvmeCommand {
  const cdw12 = (sources.length - 1) | (format << 8) | (fua ? 1 << 30 : 0);
  return { opcode: NvmOpcode.copy, nsid, cdw10: lba % 0x1_0000_0000, cdw11: Math.floor(lba / 0x1_0000_0000), cdw12 };
}

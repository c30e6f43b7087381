/** Size of a logical block, bytes. */
export type LbaBytes = 512 | 4096;

/** LBA formats by their index (NVM Command Set 1.0, figure 98): all without metadata. */
export const lbaFormats: readonly LbaBytes[] = [512, 4096];
export const defaultLbaBytes: LbaBytes = 512;

/** Relative performance (RP): 4 KiB is what the file systems below have, so it is best, and 512 bytes are better than others have. */
export const relativePerformance: { readonly [lbaBytes in LbaBytes]: number } = { 512: 0b01, 4096: 0b00 };

/** The index that FLBAS and Format NVM have in two parts (bits 3:0, and two more from `upper` on). */
export function formatIndex(field: number, upper: number): number {
  return (field & 0xf) | (((field >>> upper) & 3) << 4);
}

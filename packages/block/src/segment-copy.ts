import type { Segments } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { EFAULT } from './errno.ts';

/**
 * Copies bytes from one list of pieces, from `fromSkip` on, to another, from `toSkip` on: 0, or EFAULT where memory is gone (a file that was cut
 * behind its mapping reads as zeroes, which are nobody's data). Allocates nothing.
 */
export function copySegments(
  native: Native,
  from: Segments,
  fromSkip: number,
  to: Segments,
  toSkip: number,
  lengthBytes: number,
): number {
  let i = 0;
  let j = 0;
  let inFrom = fromSkip;
  let inTo = toSkip;
  for (let left = lengthBytes; left > 0; ) {
    while (inFrom >= from.length[i]!) inFrom -= from.length[i++]!;
    while (inTo >= to.length[j]!) inTo -= to.length[j++]!;
    const count = Math.min(left, from.length[i]! - inFrom, to.length[j]! - inTo);
    const result = native.copy(to.handle[j]!, to.offset[j]! + inTo, from.handle[i]!, from.offset[i]! + inFrom, count);
    if (result < 0) return EFAULT;
    inFrom += count;
    inTo += count;
    left -= count;
  }
  return native.faultCount[0]! > 0 && (faulted(native, from) || faulted(native, to)) ? EFAULT : 0;
}

function faulted(native: Native, segments: Segments): boolean {
  for (let i = 0; i < segments.count; i++) if (native.faulted(segments.handle[i]!) === 1) return true;
  return false;
}

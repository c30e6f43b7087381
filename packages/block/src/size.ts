const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 };

/** Of a drive. Numbers in this code are exact to 2^53; the largest file offset of Linux is beyond. */
export const mostBytes = 2 ** 53 - 4096;
/** Of a drive in memory: the address space of a process is 128 TiB. */
export const mostMemoryBytes = 16 * 2 ** 40;

/** Bytes of `512`, `64K`, `1.5G`, `1T` (powers of 1024, as qemu-img has them); null where it is no size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * UNITS[match[2]!.toUpperCase()]!;
  return Number.isInteger(bytes) ? bytes : null;
}

/** `1.5 GiB`, for messages. */
export function formatSize(bytes: number): string {
  for (const unit of ['T', 'G', 'M', 'K']) {
    const size = UNITS[unit]!;
    if (bytes >= size && (bytes * 10) % size === 0) return `${bytes / size} ${unit}iB`;
  }
  return `${bytes} bytes`;
}

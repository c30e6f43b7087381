import type { Accessible } from '@sidecard/core';

/** Guest accesses of little endian numbers, for tests. */
export function guest(target: Accessible) {
  return {
    bytes(offset: number, lengthBytes: number): number[] {
      const out = new Uint8Array(lengthBytes + 2).fill(0xee);
      target.read(offset, out, 1, lengthBytes);
      if (out[0] !== 0xee || out[lengthBytes + 1] !== 0xee) throw new Error('wrote outside of the target');
      return [...out.subarray(1, lengthBytes + 1)];
    },
    read(offset: number, lengthBytes: number): number {
      return this.bytes(offset, lengthBytes).reduceRight((sum, byte) => sum * 256 + byte, 0);
    },
    write(offset: number, lengthBytes: number, value: number): void {
      const source = new Uint8Array(lengthBytes + 1);
      let rest = value;
      for (let i = 1; i <= lengthBytes; i++) {
        source[i] = rest % 256;
        rest = Math.floor(rest / 256);
      }
      target.write(offset, source, 1, lengthBytes);
    },
  };
}

import { type AccessMode, rc, registers, ro, rw, u8, u16, u32, u64, w1c, w1s, wo } from '@sidecard/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const Card = registers(0x30, {
  a: u8(0, { x: rw(2, 0), y: w1c(4, 3), z: ro(7) }),
  b: u16(1, { x: wo(3, 0), y: rw(11, 6), z: rc(15) }),
  c: u32(4, { x: w1s(7, 0), y: rc(19, 12), z: rw(31, 28) }),
  d: u64(8, { x: rw(40, 20), y: w1c(63, 41), z: rc(7, 0) }),
  e: u32(0x11, rw),
  f: u8(0x20, rc, 0x5a),
  g: u32(0x24, w1c, 0xffff_ffff),
});

/** The same, a bit at a time, as the words of the access modes have it. */
class BitByBit {
  readonly bits = new Uint8Array(0x30 * 8);
  mode(bit: number): AccessMode | undefined {
    const modes = Object.keys(Card.masks) as AccessMode[];
    return modes.find((mode) => Card.masks[mode][bit >>> 3]! & (1 << (bit & 7)));
  }
  read(offset: number, lengthBytes: number): number[] {
    return Array.from({ length: lengthBytes }, (_, i) => {
      let byte = 0;
      for (let bit = (offset + i) * 8; bit < (offset + i + 1) * 8; bit++) {
        const mode = this.mode(bit);
        if (mode === undefined || mode === 'wo') continue;
        byte |= this.bits[bit]! << (bit & 7);
        if (mode === 'rc') this.bits[bit] = 0;
      }
      return byte;
    });
  }
  write(offset: number, bytes: readonly number[]): void {
    for (const { offset: start, widthBytes } of Card.registers) {
      if (start + widthBytes <= offset || start >= offset + bytes.length) continue;
      for (let bit = start * 8; bit < (start + widthBytes) * 8; bit++) if (this.mode(bit) === 'wo') this.bits[bit] = 0;
    }
    for (const [i, byte] of bytes.entries()) {
      for (let bit = (offset + i) * 8; bit < (offset + i + 1) * 8; bit++) {
        const written = (byte >>> (bit & 7)) & 1;
        const mode = this.mode(bit);
        if (mode === 'rw' || mode === 'wo') this.bits[bit] = written;
        else if (mode === 'w1c' && written) this.bits[bit] = 0;
        else if (mode === 'w1s' && written) this.bits[bit] = 1;
      }
    }
  }
}

const access = fc.record({
  kind: fc.constantFrom('read', 'write', 'device'),
  offset: fc.integer({ min: 0, max: 0x2f }),
  bytes: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 16 }),
});

test('accesses of any size, alignment and order do to each bit what its mode says', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
      const regs = Card.create();
      const model = new BitByBit();
      for (let bit = 0; bit < 0x30 * 8; bit++) model.bits[bit] = (Card.resetBytes[bit >>> 3]! >>> (bit & 7)) & 1;
      for (const { kind, offset, bytes } of accesses) {
        const length = Math.min(bytes.length, 0x30 - offset);
        if (kind === 'read') {
          const out = new Uint8Array(length);
          regs.read(offset, out, 0, length);
          expect([...out]).toEqual(model.read(offset, length));
        } else if (kind === 'write') {
          regs.write(offset, new Uint8Array(bytes), 0, length);
          model.write(offset, bytes.slice(0, length));
        } else {
          // The device raises events: stores raw, whatever the mode.
          for (const [i, byte] of bytes.slice(0, length).entries()) {
            regs.bytes.bytes[offset + i] = byte;
            for (let bit = 0; bit < 8; bit++) model.bits[(offset + i) * 8 + bit] = (byte >>> bit) & 1;
          }
        }
      }
      const stored = regs.bytes.bytes;
      const different = [...model.bits].findIndex((value, bit) => ((stored[bit >>> 3]! >>> (bit & 7)) & 1) !== value);
      expect(different).toBe(-1);
    }),
    { numRuns: 300 },
  );
});

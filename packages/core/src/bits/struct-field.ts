import type { HostBuffer } from './host-buffer.ts';
import type { Bank } from './number-property.ts';
import type { Struct, StructFields, StructRecord } from './struct.ts';

/** A field of a record in guest memory; `Value` is what its property is. */
export interface StructField<Value = unknown> {
  readonly kind: 'number' | 'text' | 'view';
  readonly offset: number;
  readonly lengthBytes: number;
  /** Only a type. */
  readonly value?: Value;
  /** Of a view: makes it, once for each record. */
  readonly view?: (piece: HostBuffer) => Value;
  /** Of a text. */
  readonly property?: PropertyDescriptor;
}

/** A number, or some of its bits. */
export interface NumberField extends StructField<number> {
  readonly kind: 'number';
  readonly widthBytes: number;
  readonly bigEndian: boolean;
  readonly msb: number;
  readonly lsb: number;
}

/** `le8(1)` is a whole number; `le8(1).bits(7, 6)` and `le32(40).bits(31)` are some of its bits, a field each. */
export interface WholeNumber extends NumberField {
  bits(msb: number, lsb?: number): NumberField;
}

function number(offset: number, widthBytes: number, bigEndian: boolean): WholeNumber {
  const field = (msb: number, lsb: number): NumberField => {
    if (!(lsb >= 0 && lsb <= msb && msb < widthBytes * 8)) throw new Error(`bits ${msb}:${lsb} of ${widthBytes} bytes`);
    return { kind: 'number', offset, lengthBytes: widthBytes, widthBytes, bigEndian, msb, lsb };
  };
  return { ...field(widthBytes * 8 - 1, 0), bits: (msb, lsb = msb) => field(msb, lsb) };
}

export const le8 = (offset: number): WholeNumber => number(offset, 1, false);
export const le16 = (offset: number): WholeNumber => number(offset, 2, false);
export const le32 = (offset: number): WholeNumber => number(offset, 4, false);
/** As a Number: exact below 2**53, rounded above (an address there misses every region anyhow). */
export const le64 = (offset: number): WholeNumber => number(offset, 8, false);
export const be16 = (offset: number): WholeNumber => number(offset, 2, true);
export const be32 = (offset: number): WholeNumber => number(offset, 4, true);
export const be64 = (offset: number): WholeNumber => number(offset, 8, true);

/** The bytes themselves, a view. Stores into it go past the undo log: arena.touch first. */
export function bytes(offset: number, lengthBytes: number): StructField<Uint8Array> {
  return { kind: 'view', offset, lengthBytes, view: (piece) => piece.bytes };
}

/** `count` records, one after the other. */
export function records<F extends StructFields>(
  offset: number,
  count: number,
  struct: Struct<F>,
): StructField<readonly StructRecord<F>[]> {
  const { sizeBytes } = struct;
  const view = (piece: HostBuffer) =>
    Array.from({ length: count }, (_, i) => struct.over(piece.slice(i * sizeBytes, sizeBytes)));
  return { kind: 'view', offset, lengthBytes: count * sizeBytes, view };
}

/** ASCII, padded with spaces on the right; what is not printable ASCII is stored as '?', what is too long is cut. */
export function ascii(offset: number, lengthBytes: number): StructField<string> {
  const get = function (this: Bank): string {
    let text = '';
    for (let i = 0; i < lengthBytes; i++) text += String.fromCharCode(this.$view.getUint8(offset + i));
    return text.replace(/[ \0]+$/, '');
  };
  const set = function (this: Bank, text: string): void {
    if (this.$journal?.open) this.$journal.touch(this.$byteOffset + offset, lengthBytes);
    for (let i = 0; i < lengthBytes; i++) {
      const code = i < text.length ? text.charCodeAt(i) : 0x20;
      this.$view.setUint8(offset + i, code >= 0x20 && code < 0x7f ? code : 0x3f);
    }
  };
  return { kind: 'text', offset, lengthBytes, property: { get, set, enumerable: true } };
}

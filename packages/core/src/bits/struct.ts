import type { HostBuffer } from './host-buffer.ts';

/** A field of a record in guest memory. `Value` is what its property is. */
export interface StructField<Value = unknown> {
  readonly kind: 'number' | 'bytes' | 'text' | 'records';
  readonly offset: number;
  readonly lengthBytes: number;
  readonly value?: Value;
}

export interface NumberField extends StructField<number> {
  readonly kind: 'number';
  readonly bigEndian: boolean;
  readonly msb: number;
  readonly lsb: number;
  /** Some bits of it: `le8(1).bits(7, 6)`, `le32(40).bits(31)`. */
  bits(msb: number, lsb?: number): NumberField;
}
export interface StructFields {
  readonly [name: string]: StructField;
}
export type RecordValues<F extends StructFields> = {
  -readonly [N in keyof F as F[N] extends StructField<number | string> ? N : never]: F[N] extends StructField<infer V>
    ? V
    : never;
} & {
  readonly [N in keyof F as F[N] extends StructField<number | string> ? never : N]: F[N] extends StructField<infer V>
    ? V
    : never;
};
/** A record: properties decode on read and encode on write. `buffer` is what GuestMemory.load fills. */
export type StructRecord<F extends StructFields = StructFields> = { readonly buffer: HostBuffer } & RecordValues<F>;

export interface Struct<F extends StructFields = StructFields> {
  /** A record over memory of its own, zeroes. */
  new (): StructRecord<F>;
  readonly sizeBytes: number;
  readonly fields: F;
  /** A record over memory that exists. @throws RangeError when it is too small. */
  over(buffer: HostBuffer): StructRecord<F>;
}
export declare function le8(offset: number): NumberField;
export declare function le16(offset: number): NumberField;
export declare function le32(offset: number): NumberField;
/** As a Number: exact below 2**53, rounded above. */
export declare function le64(offset: number): NumberField;
export declare function be16(offset: number): NumberField;
export declare function be32(offset: number): NumberField;
export declare function be64(offset: number): NumberField;
/** The bytes themselves, a view. */
export declare function bytes(offset: number, lengthBytes: number): StructField<Uint8Array>;
/** ASCII padded with spaces on the right. */
export declare function ascii(offset: number, lengthBytes: number): StructField<string>;
/** `count` records one after the other. */
export declare function records<F extends StructFields>(
  offset: number,
  count: number,
  struct: Struct<F>,
): StructField<readonly StructRecord<F>[]>;
/** Declares a record of `sizeBytes`. @throws when fields overlap or do not fit. */
export declare function struct<F extends StructFields>(sizeBytes: number, fields: F): Struct<F>;
/** What a record's class makes: `type Command = RecordOf<typeof Command>`. */
export type RecordOf<S extends Struct> = S extends Struct<infer F> ? StructRecord<F> : never;

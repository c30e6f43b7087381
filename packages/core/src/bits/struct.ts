import { HostBuffer } from './host-buffer.ts';
import { Bank, numberProperty } from './number-property.ts';
import type { NumberField, StructField } from './struct-field.ts';

export interface StructFields {
  readonly [name: string]: StructField;
}

type ValueOf<F> = F extends StructField<infer V> ? V : never;

/** Numbers and texts are assigned, bytes and records are changed in place. */
export type RecordValues<F extends StructFields> = {
  -readonly [N in keyof F as ValueOf<F[N]> extends number | string ? N : never]: ValueOf<F[N]>;
} & {
  readonly [N in keyof F as ValueOf<F[N]> extends number | string ? never : N]: ValueOf<F[N]>;
};

/** A record: properties decode on read and encode on write. `buffer` is what GuestMemory.load fills. */
export type StructRecord<F extends StructFields = StructFields> = { readonly buffer: HostBuffer } & RecordValues<F>;

/** A class of records. */
export interface Struct<F extends StructFields = StructFields> {
  /** A record over memory of its own, zeroes. */
  new (): StructRecord<F>;
  readonly sizeBytes: number;
  readonly fields: F;
  /** A record at the start of memory that exists. For set-up, not per command. @throws RangeError when it is too small. */
  over(buffer: HostBuffer): StructRecord<F>;
}

/** What a struct makes: `type Command = RecordOf<typeof Command>`. */
export type RecordOf<S> = S extends Struct<infer F> ? StructRecord<F> : never;

/** Declares a record of `sizeBytes`. @throws when fields overlap or do not fit. */
export function struct<F extends StructFields>(sizeBytes: number, fields: F): Struct<F> {
  checkPlaces(sizeBytes, fields);
  const views = Object.entries(fields).filter(([, field]) => field.kind === 'view');

  class Record extends Bank {
    static readonly sizeBytes = sizeBytes;
    static readonly fields = fields;
    readonly buffer: HostBuffer;

    constructor(buffer: HostBuffer = HostBuffer.alloc(sizeBytes)) {
      super(buffer, 0);
      this.buffer = buffer;
      for (const [name, field] of views) {
        const value = field.view!(buffer.slice(field.offset, field.lengthBytes));
        Object.defineProperty(this, name, { value, enumerable: true });
      }
    }

    static over(buffer: HostBuffer): Record {
      if (buffer.lengthBytes < sizeBytes) {
        throw new RangeError(`a record of ${sizeBytes} bytes over ${buffer.lengthBytes}`);
      }
      return new Record(buffer.lengthBytes === sizeBytes ? buffer : buffer.slice(0, sizeBytes));
    }
  }
  for (const [name, field] of Object.entries(fields)) {
    if (field.kind === 'number') Object.defineProperty(Record.prototype, name, numberProperty(field as NumberField));
    else if (field.kind === 'text') Object.defineProperty(Record.prototype, name, field.property!);
  }
  return Record as unknown as Struct<F>;
}

const taken = new Set(['buffer', 'constructor', '__proto__']);

function checkPlaces(sizeBytes: number, fields: StructFields): void {
  const claimed = new Map<number, string>();
  for (const [name, field] of Object.entries(fields)) {
    if (taken.has(name) || name.startsWith('$')) throw new Error(`a field cannot be called ${name}`);
    if (!Number.isInteger(field.offset) || field.offset < 0 || field.offset + field.lengthBytes > sizeBytes) {
      throw new Error(`field ${name} does not fit into ${sizeBytes} bytes`);
    }
    for (const bit of bitsClaimed(field)) {
      const other = claimed.get(bit);
      if (other !== undefined) throw new Error(`fields ${name} and ${other} overlap at byte ${bit >>> 3}`);
      claimed.set(bit, name);
    }
  }
}

function* bitsClaimed(field: StructField): Generator<number> {
  const lastBit = field.lengthBytes * 8 - 1;
  const { msb, lsb, bigEndian } =
    field.kind === 'number' ? (field as NumberField) : { msb: lastBit, lsb: 0, bigEndian: false };
  for (let bit = lsb; bit <= msb; bit++) {
    const byte = bigEndian ? field.lengthBytes - 1 - (bit >>> 3) : bit >>> 3;
    yield (field.offset + byte) * 8 + (bit & 7);
  }
}

/**
 * What a guest access does to bits. A closed set: `ro` reads, `rw` reads and writes, `wo` is written and reads zero,
 * `w1c` and `w1s` are cleared and set by writing ones, `rc` is cleared by reading it. Undeclared bits are reserved:
 * they read zero and drop writes.
 */
export type AccessMode = 'ro' | 'rw' | 'wo' | 'w1c' | 'w1s' | 'rc';

/** Some bits of a register, which are accessed in the same way. */
export interface BitField {
  readonly mode: AccessMode;
  readonly msb: number;
  readonly lsb: number;
  readonly reset: number;
}
export interface BitFields {
  readonly [name: string]: BitField;
}

/** A mode: as it is for a whole register; called for some bits of one: `rw(7)` is bit 7, `rw(19, 16)` bits 19:16. */
export interface Access {
  readonly mode: AccessMode;
  (msb: number, lsb?: number, reset?: number): BitField;
}

function access(mode: AccessMode): Access {
  const field = (msb: number, lsb = msb, reset = 0): BitField => ({ mode, msb, lsb, reset });
  return Object.assign(field, { mode });
}

export const ro = access('ro');
export const rw = access('rw');
export const wo = access('wo');
export const w1c = access('w1c');
export const w1s = access('w1s');
export const rc = access('rc');

export type WidthBytes = 1 | 2 | 4 | 8;

/** One register: `Fields` is null when it is a plain number. */
export interface Register<Fields extends BitFields | null = BitFields | null> {
  readonly kind: 'register';
  readonly offset: number;
  readonly widthBytes: WidthBytes;
  readonly mode: AccessMode | null;
  readonly fields: Fields;
  readonly reset: number;
}

/** The same registers again and again: `count` times, `strideBytes` apart, the first at the offsets as declared. */
export interface RegisterArray<D extends Declaration = Declaration> {
  readonly kind: 'array';
  readonly count: number;
  readonly strideBytes: number;
  readonly registers: D;
}

/** A fragment at its place in a map. */
export interface PlacedFragment<D extends Declaration = Declaration> {
  readonly kind: 'fragment';
  readonly offset: number;
  readonly sizeBytes: number;
  readonly registers: D;
}

/** Registers that can be placed at any offset, for instance a PCI capability. */
export interface Fragment<D extends Declaration = Declaration> {
  readonly sizeBytes: number;
  readonly registers: D;
  at(offset: number): PlacedFragment<D>;
}

export type Declared = Register | RegisterArray | PlacedFragment;
export interface Declaration {
  readonly [name: string]: Declared;
}

type Contents = Access | BitFields;
type FieldsOf<C extends Contents> = C extends Access ? null : C extends BitFields ? C : never;

function register<C extends Contents>(
  widthBytes: WidthBytes,
  offset: number,
  contents: C,
  reset: number,
): Register<FieldsOf<C>> {
  const whole = typeof contents === 'function';
  return {
    kind: 'register',
    offset,
    widthBytes,
    mode: whole ? (contents as Access).mode : null,
    fields: (whole ? null : contents) as FieldsOf<C>,
    reset,
  };
}

/** A register of 8 bits at `offset`. The reset value is `reset` with that of the fields or-ed in. */
export function u8<C extends Contents>(offset: number, contents: C, reset = 0): Register<FieldsOf<C>> {
  return register(1, offset, contents, reset);
}

/** A register of 16 bits, little endian, at any offset. */
export function u16<C extends Contents>(offset: number, contents: C, reset = 0): Register<FieldsOf<C>> {
  return register(2, offset, contents, reset);
}

/** A register of 32 bits. */
export function u32<C extends Contents>(offset: number, contents: C, reset = 0): Register<FieldsOf<C>> {
  return register(4, offset, contents, reset);
}

/** A register of 64 bits, as a Number: exact below 2**53, rounded above. Its fields are exact where they have up to 53 bits. */
export function u64<C extends Contents>(offset: number, contents: C, reset = 0): Register<FieldsOf<C>> {
  return register(8, offset, contents, reset);
}

/** `count` times the same registers, `strideBytes` apart: `regs.doorbells[3].tail`. Hooks get the index. */
export function array<D extends Declaration>(count: number, strideBytes: number, registers: D): RegisterArray<D> {
  return { kind: 'array', count, strideBytes, registers };
}

/** Registers that are placed with `.at(offset)` in as many maps as want them. */
export function fragment<D extends Declaration>(sizeBytes: number, registers: D): Fragment<D> {
  return { sizeBytes, registers, at: (offset) => ({ kind: 'fragment', offset, sizeBytes, registers }) };
}

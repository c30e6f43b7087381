const arrays = {
  u8: Uint8Array<ArrayBuffer>,
  u16: Uint16Array<ArrayBuffer>,
  i32: Int32Array<ArrayBuffer>,
  u32: Uint32Array<ArrayBuffer>,
  f64: Float64Array<ArrayBuffer>,
};

export type ColumnType = keyof typeof arrays;
/** A column, with its unit where it has one: `{ type: 'f64', unit: 'bytes' }`. Addresses are f64. */
export type Column = ColumnType | { readonly type: ColumnType; readonly unit: string };
export interface Columns {
  readonly [name: string]: Column;
}
type TypeOf<C extends Column> = C extends ColumnType ? C : C extends { type: infer T extends ColumnType } ? T : never;
/** A typed array for each column, indexed by row. */
export type ColumnArrays<C extends Columns> = { readonly [N in keyof C]: InstanceType<(typeof arrays)[TypeOf<C[N]>]> };
export type ColumnArray = InstanceType<(typeof arrays)[ColumnType]>;

/** Where the columns of a table of `count` rows are. */
export function placeColumns(columns: Columns, count: number) {
  let sizeBytes = 0;
  const places = Object.entries(columns).map(([name, column]) => {
    const type = typeof column === 'string' ? column : column.type;
    const unit = typeof column === 'string' ? undefined : column.unit;
    const place = { name, type, unit, offset: sizeBytes, count };
    sizeBytes += (arrays[type].BYTES_PER_ELEMENT * count + 7) & ~7;
    return place;
  });
  return { places, sizeBytes };
}

export function columnArrays<C extends Columns>(columns: C, count: number, buffer: ArrayBuffer, byteOffset: number) {
  const { places } = placeColumns(columns, count);
  const made = places.map(({ name, type, offset }) => [name, new arrays[type](buffer, byteOffset + offset, count)]);
  return Object.fromEntries(made) as ColumnArrays<C>;
}

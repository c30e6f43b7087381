export type ColumnType = 'u8' | 'u16' | 'i32' | 'u32' | 'f64';
/** A column, with its unit where it has one. */
export type Column = ColumnType | { readonly type: ColumnType; readonly unit: string };
export interface Columns {
  readonly [name: string]: Column;
}
export interface ColumnArray {
  u8: Uint8Array;
  u16: Uint16Array;
  i32: Int32Array;
  u32: Uint32Array;
  f64: Float64Array;
}
type TypeOf<C extends Column> = C extends ColumnType ? C : C extends { type: infer T extends ColumnType } ? T : never;
export type ColumnArrays<C extends Columns> = { readonly [N in keyof C]: ColumnArray[TypeOf<C[N]>] };

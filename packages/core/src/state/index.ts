export * from './arena.ts';
export type { Column, ColumnArray, ColumnArrays, Columns, ColumnType } from './columns.ts';
export type { DirectoryEntry } from './directory.ts';

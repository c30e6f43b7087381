export * from './arena.ts';
export * from './columns.ts';

export * from './bar.ts';
export * from './bus.ts';
export type { ConfigRegisters } from './config-space.ts';
export * from './device.ts';
export * from './function.ts';
export * from './interrupts.ts';
export { msixPendingMap, msixTableMap } from './msix-table.ts';

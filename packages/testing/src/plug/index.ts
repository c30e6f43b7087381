export { LatePort } from './late-port.ts';
export { type CreateDevice, PluggedDevice, type PlugOptions, plug } from './plug.ts';
export type { MemoryKind } from './slots.ts';
export * from './transport.ts';

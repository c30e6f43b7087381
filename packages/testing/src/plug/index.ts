export { AttachedDevice, type AttachOptions, attach, type MachineOptions } from './attach.ts';
export { LatePort } from './late-port.ts';
export { type CreateDevice, PluggedDevice, type PlugOptions, plug } from './plug.ts';
export type { MemoryKind } from './slots.ts';
export * from './transport.ts';

export type { ClientMemory, ClientMemoryOptions, DmaMap } from './client-memory.ts';
export * from './dma-channel.ts';
export * from './guest-memory.ts';
export * from './segments.ts';

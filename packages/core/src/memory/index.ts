export { ClientMemory, type ClientMemoryOptions } from './client-memory.ts';
export * from './dma-channel.ts';
export * from './dma-region.ts';
export * from './guest-memory.ts';
export * from './segments.ts';

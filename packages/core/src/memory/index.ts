export * from './guest-memory.ts';
export * from './segments.ts';

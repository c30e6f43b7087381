export * from './daemon-process.ts';
export type { Holdings } from './proc.ts';
export * from './program.ts';

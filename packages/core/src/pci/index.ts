export * from './bar.ts';
export * from './device.ts';
export * from './function.ts';
export * from './interrupts.ts';

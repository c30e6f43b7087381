export * from './accessible.ts';
export * from './host-buffer.ts';
export * from './journal.ts';
export * from './register.ts';
export * from './register-file.ts';
export type { PlacedRegister } from './register-layout.ts';
export * from './register-map.ts';
export * from './struct.ts';
export * from './struct-field.ts';

export * from './bits/index.ts';
export * from './memory/index.ts';
export * from './pci/index.ts';
export * from './protocol/index.ts';
export * from './reactor/index.ts';
export * from './rim/index.ts';
export * from './server/index.ts';
export * from './state/index.ts';

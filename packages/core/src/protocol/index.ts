export * from './encoding.ts';
export * from './fd-list.ts';
export * from './framer.ts';
export * from './messages.ts';
export * from './negotiation.ts';

export * from './encoding.ts';
export * from './messages.ts';

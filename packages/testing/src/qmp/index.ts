export * from './line-socket.ts';
export * from './qmp.ts';

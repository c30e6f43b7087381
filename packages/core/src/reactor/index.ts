export * from './poll-source.ts';
export * from './reactor.ts';
export * from './spin-window.ts';

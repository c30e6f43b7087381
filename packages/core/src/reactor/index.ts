export * from './poll-source.ts';

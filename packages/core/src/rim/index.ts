export { type BoundSocket, bindSocket, type ListenAt, ListenError } from './listener.ts';
export { realClock } from './real-clock.ts';
export * from './serve.ts';
export * from './serve-bus.ts';

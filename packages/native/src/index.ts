export * from './constants.ts';
export { type FakeControl, FakeNative } from './fake.ts';
export { loadNative } from './kernel.ts';
export type { Native, Watch } from './native.ts';
export type { Ring, RingOptions } from './ring.ts';
export { RingColumns } from './ring-columns.ts';
export { checked, type SystemError, systemError } from './system-error.ts';

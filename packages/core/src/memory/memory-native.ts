import type { Native } from '@sidecard/native';

/** What memory needs of the native side. */
export type MemoryNative = Pick<
  Native,
  'fdInfo' | 'memfd' | 'map' | 'mapping' | 'unmap' | 'pin' | 'faulted' | 'faultCount' | 'close' | 'pread' | 'pwrite'
>;

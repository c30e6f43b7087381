import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Native } from './native.ts';

/** Calls of the addon that the interface has as they are: a number in, a number out. */
type Direct = Omit<
  Native,
  'socketPair' | 'lockRange' | 'testRange' | 'map' | 'mapping' | 'pin' | 'openRing' | 'watch' | 'faultCount'
>;

declare const opened: unique symbol;
/** A watch_t of c/watch.c. */
export type WatchPointer = { readonly [opened]: true };

export const WatchAction = { start: 0, stop: 1, ref: 2, unref: 3, close: 4 } as const;

/** Columns of what ringOpen answers in its last argument; the indices are those of words in the buffer that it returns. */
export const RingWord = { id: 0, eventFd: 1, headIndex: 2, tailIndex: 3, flagsIndex: 4, columns: 5 } as const;

/** What the addon exports. Nothing in it throws; errors are negative errno numbers. */
export interface Binding extends Direct {
  socketPair(out: Int32Array): number;
  lockRange(fd: number, type: number, start: number, length: number, test: boolean): number;
  map(fd: number, offset: number, length: number, writable: boolean): ArrayBuffer | number;
  mapping(whole: Uint8Array): number;
  pin(whole: Uint8Array): number;
  ringOpen(
    entries: number,
    maxSegments: number,
    columns: ArrayBuffer,
    forceThreads: boolean,
    out: Int32Array,
  ): ArrayBuffer | null | number;
  ringSubmit(id: number, count: number): number;
  ringReap(id: number): number;
  ringClose(id: number): number;
  watchOpen(fd: number, events: number, callback: (events: number) => void, resource: object): WatchPointer | number;
  watchControl(watch: WatchPointer, action: number): number;
  readonly faultCount?: ArrayBuffer;
}

/** SIDECARD_NATIVE names another build of the addon (AddressSanitizer's, see build-asan.mjs). */
export function loadBinding(): Binding {
  const file =
    process.env.SIDECARD_NATIVE ?? fileURLToPath(new URL('../build/Release/sidecard_native.node', import.meta.url));
  return createRequire(import.meta.url)(file) as Binding;
}

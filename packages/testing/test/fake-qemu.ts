import { fromSource } from '@sidecard/testing';

/** The beginning of an argument list of a QEMU that fails as told (fake-qemu/main.ts). */
export function fakeQemu(how: 'refuses' | 'dies' | 'late' | 'stays'): string[] {
  return fromSource(new URL('./fake-qemu/main.ts', import.meta.url), how);
}

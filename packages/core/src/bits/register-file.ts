import type { Accessible } from './accessible.ts';
import type { HostBuffer } from './host-buffer.ts';
import type { BitFields, Declaration, PlacedFragment, Register, RegisterArray } from './register.ts';
import type { RegisterMap } from './register-map.ts';

/** The fields of a register as numbers, and the whole register as `value`. */
export type FieldValues<F extends BitFields> = { -readonly [N in keyof F]: number } & { value: number };

/** What the device has of its registers: numbers, accessed raw (no masks, no hooks). */
export type RegisterValues<D extends Declaration> = {
  -readonly [N in keyof D as D[N] extends Register<null> ? N : never]: number;
} & {
  readonly [N in keyof D as D[N] extends Register<null> ? never : N]: D[N] extends Register<infer F>
    ? F extends BitFields
      ? FieldValues<F>
      : never
    : D[N] extends RegisterArray<infer E>
      ? readonly RegisterValues<E>[]
      : D[N] extends PlacedFragment<infer E>
        ? RegisterValues<E>
        : never;
};

/** What a device does when the guest accesses a register. A hook changes state and marks work; it never waits or touches guest memory. */
export interface RegisterHooks {
  /** Before the bytes are read: brings the register up to date. */
  read?(this: void, index: number): void;
  /** After bits that are cleared by reading (rc) have been cleared; `was` is the register before. */
  cleared?(this: void, was: number, index: number): void;
  /**
   * After a write, also one that changed nothing: `now` and `was` are the register after and before. Of bits that are `wo`, those
   * that the access did not cover are zero. `index` is that of the array element (of nested arrays counted through), else 0.
   */
  write?(this: void, now: number, was: number, index: number): void;
}

export type Hooks<D extends Declaration> = {
  readonly [N in keyof D]?: D[N] extends RegisterArray<infer E>
    ? Hooks<E>
    : D[N] extends PlacedFragment<infer E>
      ? Hooks<E>
      : RegisterHooks;
};

/** Registers over bytes: the guest's accesses by read and write, the device's by property. */
export type RegisterFile<D extends Declaration = Declaration> = Accessible & {
  readonly map: RegisterMap<D>;
  /** The bytes themselves. */
  readonly bytes: HostBuffer;
  /** Gives every register its reset value; calls no hooks. */
  reset(): void;
} & RegisterValues<D>;

import type { HostBuffer } from './host-buffer.ts';
import type { AccessMode, Declaration, Register, WidthBytes } from './register.ts';
import type { Hooks, RegisterFile } from './register-file.ts';

/** One register of a map, arrays and fragments unrolled: for drivers, tracers and documents. */
export interface PlacedRegister {
  /** Names from the outermost, with the index of array elements: ['doorbells', '3', 'tail']. */
  readonly path: readonly string[];
  readonly offset: number;
  readonly widthBytes: WidthBytes;
  /** Of the array element it is in, counted through nested arrays; else 0. */
  readonly index: number;
  readonly register: Register;
}

/** The layout of a register file: data only, shared by the device, the driver's side, tracers and documents. */
export interface RegisterMap<D extends Declaration = Declaration> {
  readonly sizeBytes: number;
  readonly declaration: D;
  readonly registers: readonly PlacedRegister[];
  /** The register that owns each byte: its place in `registers` plus 1, or 0 for none. */
  readonly owner: Uint16Array;
  /** Per byte: the bits of each access mode. */
  readonly masks: { readonly [M in AccessMode]: Uint8Array };
  /** The bytes after a reset. */
  readonly resetBytes: Uint8Array;
  /**
   * A register file over `bytes`, which are left as they are (an arena's may be those of a predecessor) unless they are new: without
   * `bytes`, plain memory with the reset values. @throws when `bytes` are not of the map's size.
   */
  create(hooks?: Hooks<D>): RegisterFile<D>;
  create(bytes: HostBuffer, hooks?: Hooks<D>): RegisterFile<D>;
}

/**
 * Declares registers. @throws when registers overlap, do not fit, are misdeclared, or a reset value does not fit.
 */
export declare function registers<D extends Declaration>(sizeBytes: number, declaration: D): RegisterMap<D>;

/** What answers accesses of any size and alignment inside a window: a register file, or something like it. */
export interface Accessible {
  readonly sizeBytes: number;
  /** Guest reads `lengthBytes` at `offset`; the answer goes to `target` at `targetOffset`. */
  read(offset: number, target: Uint8Array, targetOffset: number, lengthBytes: number): void;
  /** Guest writes `lengthBytes` at `offset`, from `source` at `sourceOffset`. */
  write(offset: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): void;
}

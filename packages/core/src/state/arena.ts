import type { HostBuffer } from '../bits/host-buffer.ts';
import type { Declaration } from '../bits/register.ts';
import type { RegisterMap } from '../bits/register-map.ts';
import type { Struct, StructFields, StructRecord } from '../bits/struct.ts';
import type { ColumnArrays, Columns } from './columns.ts';

/**
 * All state of a device that its guest could notice, in one memory object that outlives the process (state.md). Names
 * are paths ('nvme/cq/3'); asking for a name again, with the same layout, gives the same bytes.
 */
export declare class StateArena {
  /** An arena in plain memory, for tests. */
  static alloc(sizeBytes?: number): StateArena;
  /** Takes an arena that is there already and rolls back the turn that its process died in, or formats memory that is all zeroes. */
  constructor(buffer: ArrayBuffer);
  readonly buffer: ArrayBuffer;
  /** Zeroes when new. 64-byte aligned. */
  bytes(name: string, sizeBytes: number, unit?: string): HostBuffer;
  /** Bytes for `map.create(bytes, hooks)`; with the reset values when new. */
  registers<D extends Declaration>(name: string, map: RegisterMap<D>): HostBuffer;
  record<F extends StructFields>(name: string, struct: Struct<F>): StructRecord<F>;
  records<F extends StructFields>(name: string, struct: Struct<F>, count: number): readonly StructRecord<F>[];
  /** Typed arrays of `count` rows: no log, one aligned store is one change. */
  table<C extends Columns>(name: string, columns: C, count: number): ColumnArrays<C>;
  /** Runs `body` as a transaction: all of its stores or none survive. Joined when one is open. An exception rolls back. */
  turn(body: () => void): void;
  /** Keeps bytes as they were before they are stored over, where a turn is open. For stores past records and register files. */
  touch(piece: HostBuffer, offset: number, lengthBytes: number): void;
  /** Rolls back a turn that was left open. True when there was one. */
  recover(): boolean;
}

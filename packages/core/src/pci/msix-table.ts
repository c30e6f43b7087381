import type { Accessible } from '../bits/accessible.ts';
import { array, ro, rw, u32 } from '../bits/register.ts';
import { registers } from '../bits/register-map.ts';
import type { StateArena } from '../state/arena.ts';
import type { InterruptState } from './interrupt-state.ts';
import type { VectorBits } from './message-vectors.ts';

/** The table (PCI Local Bus 3.0, 6.8.2.6 to 9): vectors are masked at reset. */
export const msixTableMap = (vectors: number) =>
  registers(vectors * 16, {
    entries: array(vectors, 16, {
      address: u32(0, rw),
      addressHigh: u32(4, rw),
      data: u32(8, rw),
      control: u32(12, { mask: rw(0, 0, 1) }),
    }),
  });

/** Pending bits (6.8.2.10), in whole quadwords. */
export const msixPendingMap = (vectors: number) =>
  registers(Math.ceil(vectors / 64) * 8, { words: array(Math.ceil(vectors / 64) * 2, 4, { pending: u32(0, ro) }) });

/** The MSI-X table and PBA of a function, for the windows of its BARs. */
export class MsixTable implements VectorBits {
  readonly table: Accessible & { reset(): void };
  readonly pba: Accessible;
  readonly #state: InterruptState;
  readonly #tableBytes: Uint8Array;
  readonly #words: readonly { pending: number }[];

  /** @param written called after the client has written a vector's mask bit. */
  constructor(arena: StateArena, vectors: number, state: InterruptState, written: () => void) {
    const tableMap = msixTableMap(vectors);
    const pendingMap = msixPendingMap(vectors);
    const tableWritten = () => {
      if (state.tableWritten === 0) state.tableWritten = 1;
    };
    const table = tableMap.create(arena.registers('pci/msix-table', tableMap), {
      entries: {
        address: { write: tableWritten },
        addressHigh: { write: tableWritten },
        data: { write: tableWritten },
        control: {
          write: () => {
            tableWritten();
            written();
          },
        },
      },
    });
    const pba = pendingMap.create(arena.registers('pci/msix-pba', pendingMap));
    this.table = table;
    this.pba = pba;
    this.#state = state;
    this.#tableBytes = table.bytes.bytes;
    this.#words = pba.words;
  }

  masked(vector: number): boolean {
    return this.#state.tableWritten === 1 && (this.#tableBytes[vector * 16 + 12]! & 1) === 1;
  }

  pending(vector: number): boolean {
    return ((this.#words[vector >>> 5]!.pending >>> (vector & 31)) & 1) === 1;
  }

  setPending(vector: number, pending: boolean): void {
    const word = this.#words[vector >>> 5]!;
    const bit = 1 << (vector & 31);
    word.pending = pending ? word.pending | bit : word.pending & ~bit;
  }
}

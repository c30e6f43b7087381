import type { Controller } from '../controller.ts';
import type { Command } from './command.ts';

/**
 * What a successor does with a command that its predecessor died in (state.md, Turns are transactions): runs it again, goes
 * on from a recorded phase (which says what that is), or finds its intent in a journal.
 */
type Replay = 'again' | { readonly resume: string } | 'journaled';

/** One opcode. Without `replay` it does not compile. */
export interface Opcode {
  readonly name: string;
  readonly replay: Replay;
  /** Its row in the Commands Supported and Effects log (NVMe Base 2.0, 5.16.1.6), CSUPP aside. */
  readonly effects: number;
  /**
   * Takes the command on from `command.step`. True when it has ended, with `command.status` and `command.result`; false while something is under
   * way that will resume it, or when it is parked.
   */
  readonly run: (controller: Controller, command: Command) => boolean;
}

/**
 * Effects (figure 210): logical block content change; namespace capability change; namespace inventory change; and no other command to any
 * namespace meanwhile (CSE 010b). Linux looks at the namespaces again after a command that changes them.
 */
export const changesBlocks = 1 << 1;
export const changesCapabilities = 1 << 2;
export const changesInventory = 1 << 3;
export const alone = 0b010 << 16;

/** By opcode, dense: one look per command. */
export type OpcodeTable = readonly (Opcode | null)[];

export function opcodeTable(opcodes: { readonly [code: number]: Opcode }): OpcodeTable {
  return Array.from({ length: 256 }, (_, code) => opcodes[code] ?? null);
}

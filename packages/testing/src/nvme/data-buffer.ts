import type { Ram } from '../guest-ram.ts';
import type { NvmeCommand } from './command.ts';
import { type PrpOptions, PrpPages } from './prp.ts';
import { type SglOptions, SglPieces } from './sgl.ts';

/** Data of a command in guest memory, with what the command says of it. */
export interface DataBuffer {
  readonly sizeBytes: number;
  /** The fields of the command that point to it. */
  readonly pointer: Partial<NvmeCommand>;
  store(bytes: Uint8Array): void;
  load(): Uint8Array;
  free(): void;
}

/** How the data of a command is described: by PRP entries, or by an SGL where there are options for one. */
export interface DataOptions extends PrpOptions {
  readonly sgl?: SglOptions;
}

/** From the driver's view: `in` is read from the device. */
export type DataDirection = 'in' | 'out';

export function dataBuffer(
  ram: Ram,
  sizeBytes: number,
  direction: DataDirection,
  options: DataOptions = {},
): DataBuffer {
  if (options.sgl === undefined) return new PrpPages(ram, sizeBytes, options);
  return new SglPieces(ram, sizeBytes, direction, options.sgl);
}

/** The command with its data; what it says itself stays. */
export function pointed(command: NvmeCommand, { pointer }: DataBuffer): NvmeCommand {
  return { ...pointer, ...command, flags: (pointer.flags ?? 0) | (command.flags ?? 0) };
}

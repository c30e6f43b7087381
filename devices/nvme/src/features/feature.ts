import type { Command } from '../command/command.ts';
import { type Failure, Status } from '../status.ts';

/** Which value Get Features asks for (SEL; NVMe Base 2.0, figure 192). */
export const Select = { current: 0, default: 1, saved: 2, capabilities: 3 } as const;

/**
 * A feature: its value, in the arena, and what Set and Get Features do with it (NVMe Base 2.0, 4.4). `command` is either of the two; both say in dword
 * 11 of what (a vector, a sensor) where there are several values, and values of more than dword 0 are in `command.payload`.
 */
export abstract class Feature {
  /** Its values are of namespaces, not of the controller. */
  readonly ofNamespace: boolean = false;

  /** Bytes of data that come with the command. */
  dataBytes(_command: Command): number {
    return 0;
  }
  /** What is wrong with dword 11, or with asking. @param select of Get Features; null: it is Set Features. */
  check(_command: Command, _select: number | null): Failure {
    return Status.success;
  }
  /** The value for Get Features: dword 0, and the payload, which is zeroes. */
  abstract current(command: Command): number;
  /** The value of before any was set, which is the saved one too, since none is saved. */
  abstract initial(command: Command): number;
  abstract set(command: Command): Failure;
  /** A controller-level reset. */
  abstract reset(): void;
}

export const featureColumns = { value: 'u32' } as const;

/** A value of dword 11, as most are. */
export class WordFeature extends Feature {
  readonly #values: Uint32Array;
  readonly #id: number;
  readonly #initial: number;
  /** The bits that are kept; the others are reserved, or of what is not there. */
  readonly #mask: number;

  /** @param values by feature identifier. */
  constructor(values: Uint32Array, id: number, mask: number, initial = 0) {
    super();
    this.#values = values;
    this.#id = id;
    this.#mask = mask;
    this.#initial = initial;
  }

  get value(): number {
    return this.#values[this.#id]!;
  }

  current(_command: Command): number {
    return this.value;
  }
  initial(_command: Command): number {
    return this.#initial;
  }
  set(command: Command): Failure {
    this.#values[this.#id] = command.sqe.cdw11 & this.#mask;
    return Status.success;
  }
  reset(): void {
    this.#values[this.#id] = this.#initial;
  }
}

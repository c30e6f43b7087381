import type { Bar, Host, PciDevice, PciIdentity, ResetKind } from '@sidecard/core';
import { InputFilter } from './input-filter.ts';
import { LineChanges } from './line-changes.ts';
import { barBytes, CardState, IdioRegisters } from './registers.ts';

export interface Idio16Options {
  /** Each output is wired to the input of its number. */
  readonly loopback?: boolean;
}

/**
 * ACCES PCI-IDIO-16: 16 outputs (FETs) and 16 isolated inputs, with an interrupt when inputs change. Numbers of lines are 16 bits, of which bit n is
 * line n; 1 is an output that conducts, or an input that is energized.
 */
export class Idio16 implements PciDevice {
  readonly host: Host;
  /** The class is FFh, "does not fit": the manual names none, and no driver asks. */
  readonly identity: PciIdentity = {
    vendor: 0x494f,
    device: 0x0dc8,
    classCode: 0xff0000,
    subsystemVendor: 0x494f,
    subsystem: 0x0dc8,
    interrupts: { intx: true },
  };
  readonly bars: { readonly 2: Bar };
  readonly loopback: boolean;
  readonly registers;
  readonly state;
  /** Of outputs and terminals. */
  readonly changes = new LineChanges();
  /** Times that the interrupt was asserted, since the daemon started. */
  interrupts = 0;
  readonly #filter: InputFilter;

  constructor(host: Host, { loopback = false }: Idio16Options = {}) {
    this.host = host;
    this.loopback = loopback;
    this.state = host.state.record('idio16/state', CardState);
    this.registers = IdioRegisters.create(host.state.registers('idio16/registers', IdioRegisters), {
      outputsLow: { write: (now, was) => this.#outputsChanged(now ^ was) },
      outputsHigh: { write: (now, was) => this.#outputsChanged((now ^ was) << 8) },
      inputsLow: { write: () => this.#clearInterrupt() },
      interrupts: { read: () => this.#enableInterrupts(1), write: () => this.#enableInterrupts(0) },
      filters: { read: () => this.#filterAll(1), write: () => this.#filterAll(0) },
      filtersLow: { write: (_, was) => this.#filterSome(was) },
    });
    this.bars = {
      2: { kind: 'io', sizeBytes: barBytes, windows: [{ offset: 0, sizeBytes: 8, registers: this.registers }] },
    };
    this.#filter = new InputFilter(host.clock, (inputs) => host.state.turn(() => this.#see(inputs)));
    this.#filter.start(this.state.terminals ^ this.inputs);
  }

  get outputs(): number {
    return (this.registers.outputsHigh << 8) | this.registers.outputsLow;
  }

  /** The inputs as the card sees them: through the filters. */
  get inputs(): number {
    return (this.registers.inputsHigh << 8) | this.registers.inputsLow;
  }

  /** The inputs as the world has set them. */
  get terminals(): number {
    return this.state.terminals;
  }

  /** The inputs whose filters are on. */
  get filters(): number {
    return this.state.allFiltered === 1 ? 0xffff : this.registers.filtersLow;
  }

  /** The world sets the levels of some inputs. */
  setTerminals(levels: number, mask = 0xffff): void {
    const changed = (this.state.terminals ^ levels) & mask;
    if (changed === 0) return;
    this.host.state.turn(() => {
      this.state.terminals ^= changed;
      const held = changed & this.filters;
      const unseen = this.state.terminals ^ this.inputs;
      this.#filter.start(held & unseen);
      this.#filter.stop(held & ~unseen);
      this.#see(changed & ~held);
    });
    this.changes.tell(0, changed);
  }

  /** While the latch of changes is set and interrupts are on. */
  interruptLevel(): boolean {
    const { status } = this.registers;
    return this.state.interruptsOn === 1 && (status.changedLow | status.changedHigh) === 1;
  }

  /** RST# opens the outputs, switches filters and interrupts off and forgets what was latched; the inputs are the world's. */
  reset(kind: ResetKind): void {
    if (kind === 'disconnect') return;
    const { outputs } = this;
    this.registers.reset();
    this.state.interruptsOn = 0;
    this.state.allFiltered = 0;
    this.#filter.stop(0xffff);
    // There is no change in what was there before: nothing is latched, since interrupts are off.
    this.#see(0xffff);
    this.#outputsChanged(outputs);
  }

  #outputsChanged(changed: number): void {
    if (changed === 0) return;
    this.changes.tell(changed, 0);
    if (this.loopback) this.setTerminals(this.outputs);
  }

  #clearInterrupt(): void {
    this.registers.status.value = 0;
    this.#updateInterrupt();
  }

  /** What is latched stays so while interrupts are off, and is told when they are switched on again. */
  #enableInterrupts(on: 0 | 1): void {
    this.state.interruptsOn = on;
    this.#updateInterrupt();
  }

  #filterAll(on: 0 | 1): void {
    this.state.allFiltered = on;
    this.registers.filtersLow = on ? 0xff : 0;
    this.#filtersChanged();
  }

  #filterSome(was: number): void {
    if (this.state.allFiltered === 1) this.registers.filtersLow = was;
    this.#filtersChanged();
  }

  /** An input whose filter is switched off is seen at once. */
  #filtersChanged(): void {
    this.#filter.stop(~this.filters);
    this.#see(~this.filters);
  }

  /** The card sees the levels of these inputs now. Changes are latched while interrupts are on, and once, however many there are. */
  #see(inputs: number): void {
    const { registers, state } = this;
    const changed = (state.terminals ^ this.inputs) & inputs;
    if (changed === 0) return;
    registers.inputsLow ^= changed & 0xff;
    registers.inputsHigh ^= changed >>> 8;
    if (state.interruptsOn === 0) return;
    if (changed & 0x00ff) registers.status.changedLow = 1;
    if (changed & 0xff00) registers.status.changedHigh = 1;
    this.#updateInterrupt();
  }

  #updateInterrupt(): void {
    const level = this.interruptLevel() ? 1 : 0;
    if (level > this.registers.status.asserted) this.interrupts++;
    this.registers.status.asserted = level;
    this.host.interrupt.update();
  }
}

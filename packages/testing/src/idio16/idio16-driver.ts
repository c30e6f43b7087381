import { driver, type RegisterDriver } from '../driver.ts';
import type { PciFunctionHandle } from '../pci/function-handle.ts';
import type { InterruptVector } from '../pci/interrupt-vector.ts';
import { Idio16Commands, Idio16Registers } from './registers.ts';

/** Drives an ACCES PCI-IDIO-16 as a guest would: 16 outputs, 16 inputs, and an interrupt when inputs change. */
export class Idio16Driver {
  readonly function: PciFunctionHandle;
  readonly registers: RegisterDriver<typeof Idio16Registers.declaration>;
  readonly vector: InterruptVector;
  readonly #commands: RegisterDriver<typeof Idio16Commands.declaration>;

  /** Connects the interrupt; what the card does is left as it is. */
  constructor(handle: PciFunctionHandle) {
    this.function = handle;
    this.registers = driver(Idio16Registers, handle.bar(2));
    this.#commands = driver(Idio16Commands, handle.bar(2));
    this.vector = handle.enableInterrupts('intx')[0]!;
  }

  /** As a driver begins: interrupts and filters off, nothing latched. */
  probe(): void {
    this.disableInterrupts();
    this.deactivateFilters();
    this.clearInterrupt();
  }

  /** 16 bits, read back from the card. */
  get outputs(): number {
    return (this.registers.outputsHigh << 8) | this.registers.outputsLow;
  }

  set outputs(levels: number) {
    this.registers.outputsLow = levels & 0xff;
    this.registers.outputsHigh = levels >>> 8;
  }

  setOutput(line: number, level: 0 | 1): void {
    const name = line < 8 ? 'outputsLow' : 'outputsHigh';
    const bit = 1 << (line & 7);
    this.registers[name] = level ? this.registers[name] | bit : this.registers[name] & ~bit;
  }

  get inputs(): number {
    return (this.registers.inputsHigh << 8) | this.registers.inputsLow;
  }

  /** By reading. */
  enableInterrupts(): void {
    void this.#commands.interrupts;
  }

  disableInterrupts(): void {
    this.#commands.interrupts = 0;
  }

  clearInterrupt(): void {
    this.#commands.clearInterrupt = 0;
  }

  /** By reading. */
  activateFilters(): void {
    void this.#commands.filters;
  }

  deactivateFilters(): void {
    this.#commands.filters = 0;
  }

  /** Resolves when the interrupt has come, and serves it: cleared first, then the inputs, so that no change falls between. */
  async change(timeoutMs?: number): Promise<number> {
    await this.vector.next(timeoutMs);
    this.clearInterrupt();
    this.vector.unmask();
    return this.inputs;
  }
}

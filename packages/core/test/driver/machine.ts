import {
  driver,
  type InterruptMode,
  type InterruptVector,
  type PluggedDevice,
  type PlugOptions,
  plug,
  type RegisterDriver,
} from '@sidecard/testing';
import { onTestFinished } from 'vitest';
import { Exerciser } from '../exerciser/exerciser.ts';
import { ExerciserRegisters } from '../exerciser/registers.ts';

/** The exerciser in a machine, and its driver. */
export class Machine {
  readonly slot: PluggedDevice<Exerciser>;
  readonly registers: RegisterDriver<typeof ExerciserRegisters.declaration>;

  constructor(slot: PluggedDevice<Exerciser>) {
    this.slot = slot;
    this.registers = driver(ExerciserRegisters, slot.function.bar(0));
    slot.function.setBusMaster(true);
  }

  /** The machine is reset, and its driver begins anew. */
  async reset(): Promise<Machine> {
    await this.slot.reset();
    return new Machine(this.slot);
  }

  enable(mode: InterruptMode, count = 1): InterruptVector[] {
    return this.slot.function.enableInterrupts(mode, count);
  }

  /** How often each has arrived since it was last asked, once all is at rest. */
  async arrived(vectors: readonly InterruptVector[]): Promise<number[]> {
    await this.slot.settle();
    return vectors.map((vector) => vector.take());
  }

  /** What the accesses so far have caused has arrived: with our client at once, since the device answers after it has signalled. */
  async told(): Promise<void> {
    if (this.slot.transport === 'qemu') await this.slot.settle();
  }

  /** QEMU takes any access to a BAR for the end of the interrupt routine, and unmasks then; our client is told. */
  endOfInterrupt(line: InterruptVector): void {
    line.unmask();
    void this.registers.id;
  }

  config(offset: number, lengthBytes: number): number {
    return this.slot.port.readConfig(offset, lengthBytes);
  }

  setConfig(offset: number, lengthBytes: number, value: number): void {
    this.slot.port.writeConfig(offset, lengthBytes, value);
  }

  /** Where a capability is. */
  capability(id: number): number {
    return this.slot.function.find(id)!;
  }
}

export async function machine(options: PlugOptions = {}): Promise<Machine> {
  const slot = await plug((host, native) => new Exerciser(host, native), options);
  onTestFinished(() => slot.close());
  return new Machine(slot);
}

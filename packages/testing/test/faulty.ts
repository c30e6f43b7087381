import { type Bar, type Host, type PciDevice, registers, rw, u32 } from '@sidecard/core';

export const FaultyRegisters = registers(0x1000, {
  hook: u32(0x00, rw),
  work: u32(0x04, rw),
  timer: u32(0x08, rw),
  restless: u32(0x0c, rw),
});

export const identity = { vendor: 0x1234, device: 0xfa17, classCode: 0x088000, interrupts: { intx: true } };

/** A card whose code fails, by each register in another way. */
export class Faulty implements PciDevice {
  readonly identity = identity;
  readonly bars: { readonly 0: Bar };
  readonly registers;
  readonly #ends: Promise<void>;

  constructor(host: Host, ends = Promise.resolve()) {
    this.#ends = ends;
    const fail = () => {
      throw new Error('the card is faulty');
    };
    this.registers = FaultyRegisters.create(host.state.registers('faulty/registers', FaultyRegisters), {
      hook: { write: fail },
      work: { write: () => host.defer(fail) },
      timer: { write: () => void host.clock.setTimer(1, fail) },
      restless: { write: () => void host.poll({ poll: () => true }) },
    });
    const windows = [{ offset: 0, sizeBytes: 0x1000, registers: this.registers }];
    this.bars = { 0: { kind: 'memory32', sizeBytes: 0x1000, windows } };
  }

  interruptLevel(): boolean {
    return false;
  }

  reset(): void {
    this.registers.reset();
  }

  quiesce(): Promise<void> {
    return this.#ends;
  }
}

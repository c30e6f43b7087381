import { type Bar, type Host, type PciDevice, registers, ro, rw, type Timer, u32, w1c } from '@sidecard/core';

/** BAR0, as the data sheet has it. */
export const EggTimerRegisters = registers(0x1000, {
  id: u32(0x00, ro, 0xe990_0001),
  seconds: u32(0x04, rw),
  status: u32(0x08, { running: ro(0), done: w1c(1) }),
});

/** A card that exists in this folder only. Writing `seconds` starts it; when they are over it raises its pin, until `done` is cleared. */
export class EggTimer implements PciDevice {
  readonly identity = { vendor: 0x1234, device: 0x0e99, classCode: 0x088000, interrupts: { intx: true } };
  readonly bars: { readonly 0: Bar };
  readonly registers;
  readonly #host: Host;
  #timer: Timer | null = null;

  constructor(host: Host) {
    this.#host = host;
    this.registers = EggTimerRegisters.create(host.state.registers('egg-timer/registers', EggTimerRegisters), {
      seconds: { write: (seconds) => this.#start(seconds) },
      status: { write: () => host.interrupt.update() },
    });
    const windows = [{ offset: 0, sizeBytes: 0x1000, registers: this.registers }];
    this.bars = { 0: { kind: 'memory32', sizeBytes: 0x1000, windows } };
  }

  interruptLevel(): boolean {
    return this.registers.status.done === 1;
  }

  reset(): void {
    this.#timer?.cancel();
    this.registers.reset();
  }

  #start(seconds: number): void {
    this.#timer?.cancel();
    this.registers.status.running = 1;
    this.#timer = this.#host.clock.setTimer(seconds * 1000, () => this.#host.state.turn(() => this.#ring()));
  }

  #ring(): void {
    this.registers.status.running = 0;
    this.registers.status.done = 1;
    this.#host.interrupt.update();
  }
}

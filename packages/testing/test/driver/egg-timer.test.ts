import { driver, type InterruptVector, type PciFunctionHandle, plug, type RegisterDriver } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EggTimer, EggTimerRegisters } from './egg-timer.ts';

class EggTimerDriver {
  readonly registers: RegisterDriver<typeof EggTimerRegisters.declaration>;
  readonly #interrupt: InterruptVector;

  constructor(card: PciFunctionHandle) {
    this.registers = driver(EggTimerRegisters, card.bar(0));
    this.#interrupt = card.enableInterrupts('intx')[0]!;
  }

  start(seconds: number): void {
    this.registers.seconds = seconds;
  }

  async done(): Promise<void> {
    await this.#interrupt.next();
    this.registers.status.done = 1; // Written as 1 it is cleared, so the card lets go of its pin,
    this.#interrupt.unmask(); // which is looked at again.
  }
}

test('four minutes pass at once', async () => {
  await using machine = await plug((host) => new EggTimer(host));
  const timer = new EggTimerDriver(machine.function);
  timer.start(240);
  expect(timer.registers.status.running).toBe(1); // This read also brings the write there: see below.
  machine.clock.advance(239_999);
  expect(timer.registers.status.running).toBe(1);
  machine.clock.advance(1);
  await timer.done();
  expect(timer.registers.status.value).toBe(0);
});

import type { PluggedDevice, PlugOptions } from '@sidecard/testing';
import { Idio16Driver, plug } from '@sidecard/testing';
import { onTestFinished } from 'vitest';
import { Idio16, type Idio16Options } from '../../src/index.ts';

export interface Machine {
  readonly slot: PluggedDevice<Idio16>;
  readonly card: Idio16;
  readonly driver: Idio16Driver;
  /** Times that the line was raised since this was last asked, once all is at rest. */
  interrupts(): Promise<number>;
}

/** A machine with the card in it, whose driver has probed it; time passes when the test says so. */
export async function machine({ loopback, ...options }: Idio16Options & PlugOptions = {}): Promise<Machine> {
  const slot = await plug((host) => new Idio16(host, { loopback: loopback === true }), options);
  onTestFinished(() => slot.close());
  const driver = new Idio16Driver(slot.function);
  driver.probe();
  const interrupts = async () => {
    await slot.settle();
    return driver.vector.take();
  };
  return { slot, card: slot.device, driver, interrupts };
}

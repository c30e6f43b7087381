import { Idio16Driver, plug } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { Idio16 } from '../../src/index.ts';

test('an output is set, and an input that changes interrupts', async () => {
  await using machine = await plug((host) => new Idio16(host));
  expect([machine.function.vendor, machine.function.device]).toEqual([0x494f, 0x0dc8]);
  const driver = new Idio16Driver(machine.function);
  driver.probe();
  driver.setOutput(3, 1);
  expect(machine.device.outputs).toBe(0x0008);
  driver.enableInterrupts();
  machine.device.setTerminals(0x0001);
  expect(await driver.change()).toBe(0x0001);
});

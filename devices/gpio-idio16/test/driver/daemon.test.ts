import { attach, DaemonProcess, fromSource, Idio16Driver } from '@sidecard/testing';
import { expect, test } from 'vitest';

const command = fromSource(new URL('../../src/main.ts', import.meta.url));

test('what goes out comes in again, and interrupts', async () => {
  await using daemon = await DaemonProcess.start([...command, '--socket', '{socket}', '--loopback']);
  await using machine = await attach(daemon.socket);
  const driver = new Idio16Driver(machine.function);
  driver.probe();
  driver.enableInterrupts();
  driver.setOutput(12, 1);
  expect(await driver.change()).toBe(0x1000);
  await machine.close();
  expect(await daemon.stop(), daemon.log).toBe(0);
});

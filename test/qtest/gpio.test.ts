/** The GPIO card through QEMU's own vfio-user-pci: its I/O BAR, and INTA# as QEMU shows it, with the world at the control socket. */

import { provision } from '@sidecard/guest';
import { loadNative } from '@sidecard/native';
import { Idio16Driver, PciBus, QtestMachine } from '@sidecard/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GpioDaemon } from '../../devices/gpio-idio16/test/daemon.ts';
import { noGuests } from '../guest/requirements.ts';

describe.skipIf(noGuests)('the GPIO card through QEMU', () => {
  let daemon: GpioDaemon;
  let machine: QtestMachine;
  let driver: Idio16Driver;

  beforeEach(async () => {
    daemon = await GpioDaemon.start();
    const { command, env } = (await provision()).qemu;
    machine = await QtestMachine.start(loadNative(), { command, env, sockets: [daemon.socket] });
    driver = new Idio16Driver(new PciBus().add(machine.ports[0]!));
    driver.probe();
  });
  afterEach(async () => {
    await machine?.close();
    expect(await daemon.stop()).toBe(0);
    await daemon.remove();
  });

  test('is an ACCES card with an I/O BAR, whose outputs the world sees and whose inputs it sets', async () => {
    expect([driver.function.vendor, driver.function.device]).toEqual([0x494f, 0x0dc8]);
    expect(driver.function.bars).toEqual([expect.objectContaining({ index: 2, kind: 'io', sizeBytes: 256 })]);
    driver.outputs = 0xa501;
    expect(await daemon.control.get('/outputs')).toMatchObject({ OUT0: 1, OUT1: 0, OUT8: 1, OUT15: 1 });
    await daemon.control.patch('/inputs', { IN4: 1, IN9: 1 });
    expect(driver.inputs).toBe(0x0210);
  });

  test('interrupts at each of two hundred edges, and once', async () => {
    driver.enableInterrupts();
    for (let edge = 1; edge <= 200; edge++) {
      const changed = driver.change();
      await daemon.control.patch('/inputs', { IN0: edge & 1 });
      expect(await changed).toBe(edge & 1);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(driver.registers.status.value).toBe(0);
  });
});

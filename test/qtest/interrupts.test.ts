/** Interrupts of the exerciser through QEMU's own vfio-user-pci, as far as QEMU shows them. */

import { provision } from '@sidecard/guest';
import { loadNative } from '@sidecard/native';
import {
  type DaemonProcess,
  driver,
  type InterruptMode,
  PciBus,
  type PciFunctionHandle,
  QtestMachine,
} from '@sidecard/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startExerciser } from '../../packages/core/test/exerciser/daemon.ts';
import { ExerciserRegisters } from '../../packages/core/test/exerciser/registers.ts';
import { noGuests } from '../guest/requirements.ts';

const native = loadNative();
const pbaOffset = 0x3000;

describe.skipIf(noGuests)('interrupts through QEMU', () => {
  let daemon: DaemonProcess;
  let machine: QtestMachine;
  let card: PciFunctionHandle;
  let expectedError = '';
  let registers: ReturnType<typeof driver<typeof ExerciserRegisters.declaration>>;

  beforeEach(async () => {
    daemon = await startExerciser();
    const { command, env } = (await provision()).qemu;
    machine = await QtestMachine.start(native, { command, env, sockets: [daemon.socket] });
    card = new PciBus().add(machine.ports[0]!);
    card.setBusMaster(true);
    registers = driver(ExerciserRegisters, card.bar(0));
  });
  afterEach(async () => {
    await machine?.close();
    await daemon?.remove();
    expect(daemon.log.split('\n').filter((line) => line !== '' && line !== expectedError)).toEqual([]);
    expectedError = '';
  });

  const enable = (mode: InterruptMode, count = 1) => card.enableInterrupts(mode, count);
  const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

  test('a level raises the line, and again after each access that finds it still there', async () => {
    const [line] = enable('intx');
    registers.level = 1;
    await line!.next();
    for (let round = 0; round < 50; round++) {
      // QEMU lowers the line at an access to a BAR and asks again.
      expect(registers.level).toBe(1);
      await line!.next();
    }
    registers.level = 0;
    expect(registers.level).toBe(0);
    line!.take();
    await settle();
    expect(registers.level).toBe(0);
    expect(line!.take()).toBe(0);
    registers.level = 1;
    await line!.next();
  });

  test('interrupt disable holds the line back, and the status register tells the level', async () => {
    const [line] = enable('intx');
    const command = card.port.readConfig(4, 2);
    card.port.writeConfig(4, 2, command | 0x400);
    registers.level = 1;
    expect(card.port.readConfig(6, 2) & 8).toBe(8);
    await settle();
    expect(line!.take()).toBe(0);
    card.port.writeConfig(4, 2, command);
    await line!.next();
  });

  test('MSI and MSI-X vectors arrive, each at its own address', async () => {
    for (const [mode, count] of [
      ['msi', 1],
      ['msix', 32],
      ['msix', 5],
    ] as const) {
      const vectors = enable(mode, count);
      for (const vector of vectors) {
        registers.signal = vector.number;
        await vector.next();
      }
      await settle();
      expect(vectors.map((vector) => vector.take())).toEqual(vectors.map(() => 0));
    }
  });

  test('types are switched at run time, and a level that is there comes out by the pin again', async () => {
    registers.level = 1;
    const vectors = enable('msix', 2);
    registers.signal = 1;
    await vectors[1]!.next();
    const [line] = enable('intx');
    await line!.next();
    const [message] = enable('msi');
    registers.signal = 0;
    await message!.next();
  });

  test('the function mask holds vectors back, and clearing it delivers them', async () => {
    const vectors = enable('msix', 4);
    card.setFunctionMask(true);
    registers.signal = 2;
    registers.signal = 3;
    await settle();
    expect(vectors.map((vector) => vector.take())).toEqual([0, 0, 0, 0]);
    const pending = new Uint8Array(4);
    card.bar(0).read(pbaOffset, pending, 0, 4);
    expect(pending[0]).toBe(0b1100);
    card.setFunctionMask(false);
    await vectors[2]!.next();
    await vectors[3]!.next();
  });

  test('messages wait for bus mastering', async () => {
    const [vector] = enable('msix', 1);
    card.setBusMaster(false);
    registers.signal = 0;
    await settle();
    expect(vector!.take()).toBe(0);
    card.setBusMaster(true);
    await vector!.next();
  });

  test('a vector that is raised before its first unmask is kept', async () => {
    // As a driver that enables MSI-X first, and a vector when it needs it: the port unmasks as many as it is asked for.
    enable('msix', 1);
    registers.signal = 7;
    await settle();
    const vectors = enable('msix', 8);
    await vectors[7]!.next();
  });

  test('ERR stops the machine, until it is reset', async () => {
    expectedError = "The device cannot go on { reason: 'a guest asked for it' }";
    const { qmp } = machine;
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
    const stopped = qmp.event('STOP');
    registers.fail = 1;
    await stopped;
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'internal-error', running: false });
    await expect(qmp.execute('cont')).rejects.toThrow('Resetting the Virtual Machine is required');
    await qmp.execute('system_reset');
    await qmp.execute('cont');
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
  });
});

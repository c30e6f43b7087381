/** Interrupts of exercisers through QEMU's own vfio-user-pci: what takes its monitor, and several functions. One card alone is tested in packages/core/test/driver. */
import { provision } from '@sidecard/guest';
import { loadNative } from '@sidecard/native';
import { type DaemonProcess, driver, type InterruptVector, PciBus, QtestMachine } from '@sidecard/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { startExerciser, startExerciserBus } from '../../packages/core/test/exerciser/daemon.ts';
import { ExerciserRegisters } from '../../packages/core/test/exerciser/registers.ts';
import { noGuests } from '../guest/requirements.ts';

describe.skipIf(noGuests)('interrupts through QEMU', () => {
  const cleanup: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of cleanup.splice(0).reverse()) await close();
  });

  /** Its log is to be `log` in the end. */
  function stoppedLater(daemon: DaemonProcess, log = ''): DaemonProcess {
    cleanup.push(async () => {
      const status = await daemon.stop();
      await daemon.remove();
      expect([status, daemon.log]).toEqual([0, log]);
    });
    return daemon;
  }

  async function boot(sockets: readonly (string | readonly string[])[]) {
    const { command, env } = (await provision()).qemu;
    const machine = await QtestMachine.start(loadNative(), { command, env, sockets });
    cleanup.push(() => machine.close());
    const bus = new PciBus();
    const cards = machine.ports.map((port) => bus.add(port));
    return { machine, cards, registers: cards.map((card) => driver(ExerciserRegisters, card.bar(0))) };
  }

  test('ERR stops the machine, until it is reset', async () => {
    const daemon = stoppedLater(await startExerciser(), "The device cannot go on { reason: 'a guest asked for it' }\n");
    const { machine, registers } = await boot([daemon.socket]);
    const { qmp } = machine;
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
    const stopped = qmp.event('STOP');
    registers[0]!.fail = 1;
    await stopped;
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'internal-error', running: false });
    await expect(qmp.execute('cont')).rejects.toThrow('Resetting the Virtual Machine is required');
    await machine.reset();
    await qmp.execute('cont');
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
  });

  test('functions of one device have inputs of their own, by their pins, and one that they share with the pin of another device', async () => {
    const bus = await startExerciserBus(4);
    stoppedLater(bus.daemon);
    const other = stoppedLater(await startExerciser());
    // INTB# of slot 4 and INTA# of slot 5 are the same input.
    const { machine, cards, registers } = await boot([bus.sockets, other.socket]);
    const lines = cards.map((card) => card.enableInterrupts('intx')[0]!);
    const arrived = async () => {
      machine.settle();
      return lines.map((line: InterruptVector) => line.take());
    };
    expect(await arrived()).toEqual([0, 0, 0, 0, 0]);
    registers[0]!.level = 1;
    expect(await arrived()).toEqual([1, 0, 0, 0, 0]);
    registers[3]!.level = 1;
    expect(await arrived()).toEqual([0, 0, 0, 1, 0]);
    registers[2]!.level = 1;
    expect(await arrived()).toEqual([0, 0, 1, 0, 0]);
    // One input: whoever asserts it first raises it for both.
    registers[4]!.level = 1;
    expect(await arrived()).toEqual([0, 1, 0, 0, 1]);
    registers[1]!.level = 1;
    expect(await arrived()).toEqual([0, 0, 0, 0, 0]);
    const status = () => cards.map((card) => card.port.readConfig(6, 2) & 8);
    expect(status()).toEqual([8, 8, 8, 8, 8]);
    registers[4]!.level = 0;
    expect(await arrived()).toEqual([0, 0, 0, 0, 0]);
    expect(status()).toEqual([8, 8, 8, 8, 0]);
    registers[1]!.level = 0;
    expect(await arrived()).toEqual([0, 0, 0, 0, 0]);
    registers[1]!.level = 1;
    expect(await arrived()).toEqual([0, 1, 0, 0, 1]);
  });
});

/** Who waits for what never comes is told so. */
import { loadNative } from '@sidecard/native';
import { driver, plug, QtestMachine } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { fakeQemu } from './fake-qemu.ts';
import { Faulty, FaultyRegisters } from './faulty.ts';

describe.each(['in-process', 'socket'] as const)('%s', (transport) => {
  test('a device that never rests', async () => {
    await using machine = await plug((host) => new Faulty(host), { transport });
    driver(FaultyRegisters, machine.function.bar(0)).restless = 1;
    await expect(machine.settle()).rejects.toThrow('no rest in 10000 ms: the device works on and on');
  });

  test('a device that never ends', async () => {
    const machine = await plug((host) => new Faulty(host, new Promise(() => {})), { transport });
    await expect(machine.close()).rejects.toThrow('the device has not ended in 10000 ms');
  });
});

test('a QEMU that does not end when it is asked to, nor reset', async () => {
  const machine = await QtestMachine.start(loadNative(), { command: fakeQemu('stays'), sockets: [] });
  await expect(machine.reset()).rejects.toThrow('QEMU does not reset');
  await expect(machine.close()).rejects.toThrow('QEMU has not ended 10000 ms after SIGTERM');
});

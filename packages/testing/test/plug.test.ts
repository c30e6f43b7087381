/** What goes wrong with a plugged device is the test's to know, where it waits; and whatever goes wrong, nothing is left open. */
import { readdirSync } from 'node:fs';
import type { Host } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import { driver, type PlugOptions, plug } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Faulty, FaultyRegisters, identity } from './faulty.ts';

const openFds = () => readdirSync('/proc/self/fd').length;
const faulty = (options: PlugOptions) => plug((host) => new Faulty(host), options);

describe.each(['in-process', 'socket'] as const)('%s', (transport) => {
  test('a hook that throws', async () => {
    await using machine = await faulty({ transport });
    const guest = driver(FaultyRegisters, machine.function.bar(0));
    expect(() => {
      guest.hook = 1;
    }).toThrow('the card is faulty');
    expect(guest.work).toBe(0);
  });

  test('work that throws after the access', async () => {
    await using machine = await faulty({ transport });
    const guest = driver(FaultyRegisters, machine.function.bar(0));
    // As soon as it is known: here or there.
    const wait = async () => {
      guest.work = 1;
      await machine.settle();
    };
    await expect(wait()).rejects.toThrow('the card is faulty');
    await machine.settle();
  });

  test('a timer that throws, and a test that waits for the interrupt', async () => {
    await using machine = await faulty({ transport });
    const pin = machine.function.enableInterrupts('intx')[0]!;
    driver(FaultyRegisters, machine.function.bar(0)).timer = 1;
    machine.clock.advance(1);
    await expect(pin.next()).rejects.toThrow('the card is faulty');
  });

  test('what nobody has waited for fails the test at its end', async () => {
    const machine = await faulty({ transport });
    driver(FaultyRegisters, machine.function.bar(0)).timer = 1;
    machine.clock.advance(1);
    await expect(machine.close()).rejects.toThrow('the card is faulty');
  });

  test('where there is no machine nothing is left open', async () => {
    await (await faulty({ transport })).close();
    const before = openFds();
    const thrower = () => {
      throw new Error('no such card');
    };
    for (let times = 0; times < 5; times++) {
      await expect(plug(thrower, { transport })).rejects.toThrow('no such card');
      const nobody = (host: Host) => Object.assign(new Faulty(host), { identity: { ...identity, vendor: 0xffff } });
      await expect(plug(nobody, { transport })).rejects.toThrow('no function answers');
      const forgetful = (host: Host) => Object.assign(new Faulty(host), { memoryChanged: thrower });
      await expect(plug(forgetful, { transport })).rejects.toThrow('no such card');
    }
    await expect.poll(openFds).toBeLessThanOrEqual(before);
  });
});

test('a device with a pin, and nothing that says its level', async () => {
  const mute = (host: Host) => Object.assign(new Faulty(host), { interruptLevel: undefined as never });
  await expect(plug(mute)).rejects.toThrow('a device with `intx` wants an interruptLevel()');
});

test.each([
  [{ transport: 'quemu' }, 'transport is one of in-process, socket, qemu, not quemu'],
  [{ memory: 'share' }, 'memory is one of shared, messages, late-messages, not share'],
  [{ ramBytes: 0 }, 'ramBytes is a multiple of 4096 up to 2 GiB, not 0'],
  [{ ramBytes: 5000 }, 'not 5000'],
  [{ ramBytes: Number.NaN }, 'not NaN'],
  [{ native: new FakeNative(), transport: 'socket' }, 'a FakeNative has no sockets'],
])('wrong options %o', async (options, message) => {
  await expect(faulty(options as PlugOptions)).rejects.toThrow(message);
});

describe('a QEMU that is none', () => {
  const inQemu = (...command: string[]) => faulty({ transport: 'qemu', qemu: { command } });

  test('is told of, with how it ended and what it printed', async () => {
    const before = openFds();
    await expect(inQemu()).rejects.toThrow('QEMU: an empty command');
    await expect(inQemu('no-such-qemu')).rejects.toThrow(/^QEMU ended .*no-such-qemu/s);
    await expect(inQemu('false')).rejects.toThrow('QEMU ended (status 1)');
    await expect(inQemu('sh', '-c', 'echo no machine >&2; kill -9 $$')).rejects.toThrow(
      'QEMU ended (SIGKILL)\nno machine',
    );
    await expect.poll(openFds).toBeLessThanOrEqual(before + 1); // The pipe of the folder's guardian
  });
});

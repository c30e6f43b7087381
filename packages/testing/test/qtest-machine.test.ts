/** A QEMU that fails is told of at once, with what it printed, and nothing of it is left. */
import { readdirSync } from 'node:fs';
import { loadNative } from '@sidecard/native';
import { QtestMachine } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { fakeQemu } from './fake-qemu.ts';

const start = (how: Parameters<typeof fakeQemu>[0], deviceTurn: () => boolean = () => false) =>
  QtestMachine.start(loadNative(), { command: fakeQemu(how), sockets: [], deviceTurn });
const openFds = () => readdirSync('/proc/self/fd').length;

test('it ends when it meets its devices', async () => {
  await start('refuses').catch(() => {}); // What is opened once and for all, is.
  const before = openFds();
  for (let times = 0; times < 3; times++) await expect(start('refuses')).rejects.toThrow('fake-qemu: no such device');
  await expect.poll(openFds).toBeLessThanOrEqual(before);
});

test('it dies in the middle of an access, and then whoever waits hears of it', async () => {
  const machine = await start('dies');
  const stopped = machine.qmp.event('STOP');
  expect(machine.ram.word(0x10_0000)).toBe(0x10_0000);
  expect(() => machine.ram.word(0xdead)).toThrow(/QEMU has gone, at .*readl 0xdead\nfake-qemu: hardware error/);
  expect(() => machine.ram.word(0x10_0000)).toThrow('fake-qemu: hardware error');
  await expect(stopped).rejects.toThrow('QEMU ended (status 1)\nfake-qemu: hardware error');
  await expect(machine.reset()).rejects.toThrow('QEMU has gone (status 1)\nfake-qemu: hardware error');
  await machine.close();
  await machine.close();
  await expect(machine.qmp.event('STOP')).rejects.toThrow('QEMU ended (status 1)');
});

test('an answer that is late is not that to another command', async () => {
  let failure: Error | null = null;
  const machine = await start('late', () => {
    if (failure === null) return false;
    throw failure;
  });
  failure = new Error('the device fails while QEMU is waited for');
  expect(() => machine.ram.word(0x1a7e)).toThrow(failure);
  failure = null;
  expect(machine.ram.word(0x20_0000)).toBe(0x20_0000);
  expect(machine.ram.word(0x20_0004)).toBe(0x20_0004);
  await machine.close();
});

test('beyond its memory nothing is read, and nothing written', async () => {
  const machine = await start('late');
  const end = 128 * 2 ** 20;
  expect(machine.ram.word(end - 4)).toBe(end - 4);
  expect(() => machine.ram.word(end - 2)).toThrow(RangeError);
  expect(() => machine.ram.setWord(end, 0)).toThrow(RangeError);
  expect(() => machine.ram.load(end - 8, 16)).toThrow(RangeError);
  expect(() => machine.ram.store(0xe000_0000, new Uint8Array(1))).toThrow(RangeError);
  await machine.close();
});

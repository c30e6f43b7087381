/** The interrupt pin as a driver has it, by whatever client. */
import { CapabilityId } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { machine } from './machine.ts';

const COMMAND = 0x04;
const STATUS = 0x06;
const INTX_DISABLE = 0x400;
const INTERRUPT_STATUS = 8;

test('a level raises the line once, and again for each end of the routine that leaves it there', async () => {
  const it = await machine();
  const lines = it.enable('intx');
  it.registers.level = 1;
  expect(await it.arrived(lines)).toEqual([1]);
  expect(await it.arrived(lines)).toEqual([0]);
  for (let round = 0; round < 20; round++) {
    it.endOfInterrupt(lines[0]!);
    expect(await it.arrived(lines)).toEqual([1]);
  }
  it.registers.level = 0;
  await it.arrived(lines);
  it.endOfInterrupt(lines[0]!);
  expect(await it.arrived(lines)).toEqual([0]);
  it.registers.level = 1;
  expect(await it.arrived(lines)).toEqual([1]);
});

test('interrupt disable holds the line back, and the status register tells the level all the same', async () => {
  const it = await machine();
  const lines = it.enable('intx');
  const command = it.config(COMMAND, 2);
  it.setConfig(COMMAND, 2, command | INTX_DISABLE);
  it.registers.level = 1;
  expect(it.config(STATUS, 2) & INTERRUPT_STATUS).toBe(INTERRUPT_STATUS);
  expect(await it.arrived(lines)).toEqual([0]);
  it.setConfig(COMMAND, 2, command);
  expect(await it.arrived(lines)).toEqual([1]);
  it.registers.level = 0;
  expect(it.config(STATUS, 2) & INTERRUPT_STATUS).toBe(0);
});

test('a function that sleeps (D3hot) asserts nothing, and what is there comes out when it wakes', async () => {
  const it = await machine();
  const lines = it.enable('intx');
  const powerState = it.capability(CapabilityId.powerManagement) + 4;
  it.setConfig(powerState, 2, 3);
  it.slot.device.setLevel(1);
  expect(await it.arrived(lines)).toEqual([0]);
  it.setConfig(powerState, 2, 0);
  expect(await it.arrived(lines)).toEqual([1]);
});

test('a level that is there before anybody listens comes out when the line is connected', async () => {
  const it = await machine();
  it.registers.level = 1;
  expect(await it.arrived(it.enable('intx'))).toEqual([1]);
});

test('a Function Level Reset takes the level away, and the line works on', async () => {
  const it = await machine();
  const lines = it.enable('intx');
  it.registers.level = 1;
  expect(await it.arrived(lines)).toEqual([1]);
  it.slot.function.functionLevelReset();
  lines[0]!.unmask();
  await it.arrived(lines);
  expect(it.slot.device.registers.level).toBe(0);
  expect(it.config(STATUS, 2) & INTERRUPT_STATUS).toBe(0);
});

test('a reset of the machine (DEVICE_RESET) takes the level away, and the next driver has a line that works', async () => {
  const before = await machine();
  before.registers.level = 1;
  expect(await before.arrived(before.enable('intx'))).toEqual([1]);
  const it = await before.reset();
  const lines = it.enable('intx');
  expect([it.registers.level, it.config(STATUS, 2) & INTERRUPT_STATUS, await it.arrived(lines)]).toEqual([0, 0, [0]]);
  it.registers.level = 1;
  expect(await it.arrived(lines)).toEqual([1]);
});

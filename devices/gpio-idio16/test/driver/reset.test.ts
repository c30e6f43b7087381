import { Idio16Driver } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { machine } from './machine.ts';

test('a machine reset opens the outputs, switches everything off, forgets what was latched, and leaves the inputs to the world', async () => {
  const { card, driver, slot } = await machine();
  driver.outputs = 0x1234;
  driver.activateFilters();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  driver.deactivateFilters();
  expect(card.interruptLevel()).toBe(true);
  const next = new Idio16Driver(await slot.reset());
  expect([card.outputs, next.outputs, next.inputs]).toEqual([0, 0, 0x0001]);
  expect([next.registers.status.value, next.registers.filtersLow, card.interruptLevel()]).toEqual([0, 0, false]);
  card.setTerminals(0x0002);
  expect(next.registers.status.value).toBe(0);
});

test('a reset ends the wait of a filtered input: it is seen, without an interrupt', async () => {
  const { card, driver, slot } = await machine();
  driver.activateFilters();
  card.setTerminals(0x0001);
  const next = new Idio16Driver(await slot.reset());
  slot.clock.advance(10);
  expect([next.inputs, next.registers.status.value]).toEqual([0x0001, 0]);
});

test('a reset tells the world of the outputs that it opened, by the wire of loopback too', async () => {
  const { card, driver, slot } = await machine({ loopback: true });
  driver.outputs = 0x00f0;
  const seen: number[][] = [];
  card.changes.watch((outputs, inputs) => seen.push([outputs, inputs]));
  const next = new Idio16Driver(await slot.reset());
  expect(seen).toEqual([
    [0x00f0, 0],
    [0, 0x00f0],
  ]);
  expect(next.inputs).toBe(0);
});

test('there is no Function Level Reset: the card is conventional PCI', async () => {
  expect((await machine()).slot.function.capabilities).toEqual([]);
});

import type { Idio16Driver } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { machine } from './machine.ts';

/** Bits of the interrupt status. */
const low = 1;
const high = 2;
const asserted = 4;

test('a change of an input interrupts, in either direction', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0004);
  expect(await driver.change()).toBe(0x0004);
  card.setTerminals(0x0000);
  expect(await driver.change()).toBe(0x0000);
  expect(await interrupts()).toBe(0);
});

test('the status says which half has changed', async () => {
  const { card, driver } = await machine();
  driver.enableInterrupts();
  expect(driver.registers.status.value).toBe(0);
  card.setTerminals(0x0001);
  expect(driver.registers.status.value).toBe(asserted | low);
  card.setTerminals(0x8001);
  expect(driver.registers.status.value).toBe(asserted | low | high);
  driver.clearInterrupt();
  expect(driver.registers.status.value).toBe(0);
});

test('two changes before one clear are one interrupt, also when the input is again as it was', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  card.setTerminals(0x0000);
  expect(await interrupts()).toBe(1);
  expect(card.registers.status.value).toBe(asserted | low);
  driver.clearInterrupt();
  endOfInterrupt(driver);
  expect([await interrupts(), card.interruptLevel()]).toEqual([0, false]);
});

test('a level that is what it was is no change', async () => {
  const { card, driver, interrupts } = await machine();
  card.setTerminals(0x00ff);
  driver.enableInterrupts();
  card.setTerminals(0x00ff);
  expect([await interrupts(), driver.registers.status.value]).toEqual([0, 0]);
});

test('the line is a level: unmasked and not cleared, it interrupts again', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  expect(await interrupts()).toBe(1);
  endOfInterrupt(driver);
  expect(await interrupts()).toBe(1);
  driver.clearInterrupt();
  endOfInterrupt(driver);
  expect(await interrupts()).toBe(0);
});

test('a change between clear and unmask is not lost', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  await interrupts();
  driver.clearInterrupt();
  card.setTerminals(0x0000);
  endOfInterrupt(driver);
  expect(await interrupts()).toBeGreaterThan(0);
});

test('a change while interrupts are off is seen in the inputs, and not latched', async () => {
  const { card, driver, interrupts } = await machine();
  card.setTerminals(0x0010);
  expect([driver.inputs, driver.registers.status.value]).toEqual([0x0010, 0]);
  driver.enableInterrupts();
  expect(await interrupts()).toBe(0);
});

test('what is latched outlives switching interrupts off, which takes the line away, and on, which brings it back', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0100);
  driver.disableInterrupts();
  expect([card.interruptLevel(), driver.registers.status.value]).toEqual([false, high]);
  await interrupts();
  endOfInterrupt(driver);
  expect(await interrupts()).toBe(0);
  driver.enableInterrupts();
  expect([await interrupts(), driver.registers.status.value]).toEqual([1, asserted | high]);
});

test('as newer Linux drivers unmask: cleared and then on, nothing old interrupts', async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  card.setTerminals(0x0100);
  driver.disableInterrupts();
  await interrupts();
  driver.clearInterrupt();
  driver.enableInterrupts();
  endOfInterrupt(driver);
  expect(await interrupts()).toBe(0);
});

test('outputs never interrupt', async () => {
  const { driver, interrupts } = await machine();
  driver.enableInterrupts();
  driver.outputs = 0xffff;
  expect(await interrupts()).toBe(0);
});

test("a thousand changes, each served in its turn: a thousand interrupts, and the driver's last inputs are the world's", async () => {
  const { card, driver, interrupts } = await machine();
  driver.enableInterrupts();
  for (let edge = 1; edge <= 1000; edge++) {
    card.setTerminals(edge & 1, 1);
    expect(await driver.change()).toBe(edge & 1);
  }
  expect([await interrupts(), card.interrupts, card.changes.inputs]).toEqual([0, 1000, 1000]);
});

/** QEMU takes the next access to a BAR for the end of the interrupt routine, and unmasks then. */
function endOfInterrupt(driver: Idio16Driver): void {
  driver.vector.unmask();
  void driver.registers.outputsLow;
}

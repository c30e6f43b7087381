import { expect, test } from 'vitest';
import { machine } from './machine.ts';

/** Bits of the interrupt status. */
const low = 1;
const high = 2;
const asserted = 4;

test('a change of an input interrupts, in either direction', async () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0004);
  expect(await driver.change()).toBe(0x0004);
  card.setTerminals(0x0000);
  expect(await driver.change()).toBe(0x0000);
  expect(driver.vector.take()).toBe(0);
});

test('the status says which half has changed', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  expect(driver.registers.status.value).toBe(0);
  card.setTerminals(0x0001);
  expect(driver.registers.status.value).toBe(asserted | low);
  card.setTerminals(0x8001);
  expect(driver.registers.status.value).toBe(asserted | low | high);
  driver.clearInterrupt();
  expect(driver.registers.status.value).toBe(0);
});

test('two changes before one clear are one interrupt, also when the input is again as it was', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  card.setTerminals(0x0000);
  expect(driver.vector.take()).toBe(1);
  expect(driver.registers.status.value).toBe(asserted | low);
  driver.clearInterrupt();
  driver.vector.unmask();
  expect([driver.vector.take(), card.interruptLevel()]).toEqual([0, false]);
});

test('a level that is what it was is no change', () => {
  const { card, driver } = machine();
  card.setTerminals(0x00ff);
  driver.enableInterrupts();
  card.setTerminals(0x00ff);
  expect([driver.vector.take(), driver.registers.status.value]).toEqual([0, 0]);
});

test('the line is a level: unmasked and not cleared, it interrupts again', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  expect(driver.vector.take()).toBe(1);
  driver.vector.unmask();
  expect(driver.vector.take()).toBe(1);
  driver.clearInterrupt();
  driver.vector.unmask();
  expect(driver.vector.take()).toBe(0);
});

test('a change between clear and unmask is not lost', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0001);
  driver.vector.take();
  driver.clearInterrupt();
  card.setTerminals(0x0000);
  expect(driver.vector.take()).toBe(0);
  driver.vector.unmask();
  expect(driver.vector.take()).toBe(1);
});

test('a change while interrupts are off is seen in the inputs, and not latched', () => {
  const { card, driver } = machine();
  card.setTerminals(0x0010);
  expect([driver.inputs, driver.registers.status.value]).toEqual([0x0010, 0]);
  driver.enableInterrupts();
  expect(driver.vector.take()).toBe(0);
});

test('what is latched outlives switching interrupts off, which takes the line away, and on, which brings it back', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0100);
  driver.disableInterrupts();
  expect([card.interruptLevel(), driver.registers.status.value]).toEqual([false, high]);
  driver.vector.take();
  driver.vector.unmask();
  expect(driver.vector.take()).toBe(0);
  driver.enableInterrupts();
  expect([driver.vector.take(), driver.registers.status.value]).toEqual([1, asserted | high]);
});

test('as newer Linux drivers unmask: cleared and then on, nothing old interrupts', () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  card.setTerminals(0x0100);
  driver.disableInterrupts();
  driver.vector.take();
  driver.clearInterrupt();
  driver.enableInterrupts();
  driver.vector.unmask();
  expect(driver.vector.take()).toBe(0);
});

test('outputs never interrupt', () => {
  const { driver } = machine();
  driver.enableInterrupts();
  driver.outputs = 0xffff;
  expect(driver.vector.take()).toBe(0);
});

test("a thousand changes, each served in its turn: a thousand interrupts, and the driver's last inputs are the world's", async () => {
  const { card, driver } = machine();
  driver.enableInterrupts();
  for (let edge = 1; edge <= 1000; edge++) {
    card.setTerminals(edge & 1, 1);
    expect(await driver.change()).toBe(edge & 1);
  }
  expect([driver.vector.take(), card.interrupts, card.changes.inputs]).toEqual([0, 1000, 1000]);
});

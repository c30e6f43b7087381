import { describe, expect, test } from 'vitest';
import { machine } from './machine.ts';

describe('with all filters on (register 3 read)', () => {
  test('an input is seen when it has kept its level for 5 ms, and interrupts then', async () => {
    const { card, driver, slot, interrupts } = await machine();
    driver.activateFilters();
    driver.enableInterrupts();
    card.setTerminals(0x0001);
    slot.clock.advance(4.9);
    expect([driver.inputs, await interrupts()]).toEqual([0, 0]);
    slot.clock.advance(0.1);
    expect([await interrupts(), driver.inputs]).toEqual([1, 1]);
  });

  test('a spike is never seen', async () => {
    const { card, driver, slot } = await machine();
    driver.activateFilters();
    driver.enableInterrupts();
    for (let spike = 0; spike < 10; spike++) {
      card.setTerminals(0x0100);
      slot.clock.advance(4);
      card.setTerminals(0x0000);
      slot.clock.advance(1);
    }
    slot.clock.advance(10);
    expect([driver.inputs, driver.registers.status.value]).toEqual([0, 0]);
  });

  test('each input has its own time', async () => {
    const { card, driver, slot } = await machine();
    driver.activateFilters();
    card.setTerminals(0x0001);
    slot.clock.advance(3);
    card.setTerminals(0x0003);
    slot.clock.advance(2);
    expect(driver.inputs).toBe(0x0001);
    slot.clock.advance(3);
    expect(driver.inputs).toBe(0x0003);
  });

  test('off again (register 3 written): what waited is seen at once, and is a change', async () => {
    const { card, driver, slot, interrupts } = await machine();
    driver.activateFilters();
    driver.enableInterrupts();
    card.setTerminals(0x0080);
    driver.deactivateFilters();
    expect([await interrupts(), driver.inputs]).toEqual([1, 0x0080]);
    slot.clock.advance(10);
    expect(driver.inputs).toBe(0x0080);
  });
});

describe('register 7, the filters of inputs 0 to 7', () => {
  test('are switched one by one: a one filters', async () => {
    const { card, driver, slot } = await machine();
    driver.registers.filtersLow = 0x02;
    card.setTerminals(0x0107);
    expect(driver.inputs).toBe(0x0105);
    slot.clock.advance(5);
    expect([driver.inputs, driver.registers.filtersLow]).toEqual([0x0107, 0x02]);
  });

  test('read as on, and cannot be written, while all are on', async () => {
    const { driver } = await machine();
    driver.activateFilters();
    driver.registers.filtersLow = 0x01;
    expect(driver.registers.filtersLow).toBe(0xff);
    driver.deactivateFilters();
    expect(driver.registers.filtersLow).toBe(0);
  });
});

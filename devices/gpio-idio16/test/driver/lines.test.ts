import { describe, expect, test } from 'vitest';
import { machine } from './machine.ts';

test('the bus finds an ACCES PCI-IDIO-16, with its registers in BAR2, which is I/O', async () => {
  const { slot } = await machine();
  expect([slot.function.vendor, slot.function.device]).toEqual([0x494f, 0x0dc8]);
  expect(slot.function.bars).toEqual([expect.objectContaining({ index: 2, kind: 'io', sizeBytes: 256 })]);
  expect([
    slot.function.vectorCount('intx'),
    slot.function.vectorCount('msi'),
    slot.function.vectorCount('msix'),
  ]).toEqual([1, 0, 0]);
});

describe('outputs', () => {
  test('are open until the driver sets them', async () => {
    const { card, driver } = await machine();
    expect([card.outputs, driver.outputs]).toEqual([0, 0]);
  });

  test('reach the world, each by its bit, and read back', async () => {
    const { card, driver } = await machine();
    for (let line = 0; line < 16; line++) {
      driver.setOutput(line, 1);
      expect(card.outputs).toBe(2 ** (line + 1) - 1);
    }
    driver.setOutput(9, 0);
    expect([card.outputs, driver.outputs]).toEqual([0xfdff, 0xfdff]);
  });

  test('tell of what has changed, and of nothing else', async () => {
    const { card, driver } = await machine();
    const seen: number[] = [];
    const forget = card.changes.watch((outputs) => seen.push(outputs));
    driver.outputs = 0x8001;
    driver.outputs = 0x8001;
    driver.outputs = 0x8000;
    forget();
    driver.outputs = 0;
    expect(seen).toEqual([0x0001, 0x8000, 0x0001]);
  });
});

describe('inputs', () => {
  test('are read as the world sets them, some or all', async () => {
    const { card, driver } = await machine();
    card.setTerminals(0xa55a);
    expect(driver.inputs).toBe(0xa55a);
    card.setTerminals(0x0008, 0x000f);
    expect(driver.inputs).toBe(0xa558);
  });

  test('cannot be written: register 1 clears the interrupt, 5 does nothing', async () => {
    const { card, driver, slot } = await machine();
    card.setTerminals(0x1234);
    const bar = slot.function.bar(2);
    for (const offset of [1, 5]) bar.write(offset, Uint8Array.of(0xff), 0, 1);
    expect(driver.inputs).toBe(0x1234);
  });
});

describe('the window', () => {
  test('of four bytes: an access is one of each register', async () => {
    const { card, driver, slot } = await machine();
    card.setTerminals(0x00c3);
    const bytes = new Uint8Array(4);
    driver.outputs = 0x005a;
    slot.function.bar(2).read(0, bytes, 0, 4);
    expect([...bytes]).toEqual([0x5a, 0xc3, 0, 0]);
    // Registers 2 and 3 were read: interrupts and filters are on now.
    expect([card.state.interruptsOn, driver.registers.filtersLow]).toEqual([1, 0xff]);
  });

  test('beyond register 7 reads zero and drops what is written', async () => {
    const { card, slot } = await machine();
    const bytes = new Uint8Array(248).fill(0xff);
    slot.function.bar(2).write(8, bytes, 0, 248);
    slot.function.bar(2).read(8, bytes, 0, 248);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(card.outputs).toBe(0);
  });
});

describe('loopback', () => {
  test('wires each output to the input of its number', async () => {
    const { driver } = await machine({ loopback: true });
    driver.outputs = 0xbeef;
    expect(driver.inputs).toBe(0xbeef);
  });

  test('a driver interrupts itself', async () => {
    const { driver } = await machine({ loopback: true });
    driver.enableInterrupts();
    driver.setOutput(12, 1);
    expect(await driver.change()).toBe(0x1000);
  });
});

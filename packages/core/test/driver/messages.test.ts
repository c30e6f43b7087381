/** MSI and MSI-X as a driver has them, by whatever client. */
import { CapabilityId } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { type Machine, machine } from './machine.ts';

const TABLE = 0x2000;
const PBA = 0x3000;

/** Numbers of the vectors that the device says are pending. */
function pendingMessages(it: Machine): number[] {
  const words = new Uint8Array(4);
  it.slot.function.bar(0).read(PBA, words, 0, 4);
  return Array.from({ length: 32 }, (_, vector) => vector).filter(
    (vector) => ((words[vector >> 3]! >> (vector & 7)) & 1) === 1,
  );
}

const zeroes = (count: number) => Array.from({ length: count }, () => 0);

test.each([
  ['msi', 1],
  ['msix', 1],
  ['msix', 5],
  ['msix', 32],
] as const)('%s, %i enabled: each vector arrives where it belongs, once', async (mode, count) => {
  const it = await machine();
  const vectors = it.enable(mode, count);
  for (const { number } of vectors) {
    it.registers.signal = number;
    expect(await it.arrived(vectors)).toEqual(zeroes(count).with(number, 1));
  }
});

test('MSI with all its vectors: each has its own message', async () => {
  const it = await machine();
  const vectors = it.enable('msi', 4);
  for (const vector of vectors) {
    it.registers.signal = vector.number;
    await vector.next();
  }
});

test('MSI with half the vectors that there are: the others come by those that the driver has', async () => {
  const it = await machine();
  const vectors = it.enable('msi', 2);
  for (const [sent, comes] of [
    [3, 1],
    [2, 0],
    [1, 1],
  ] as const) {
    it.slot.device.sendMessage(sent);
    expect(await it.arrived(vectors)).toEqual([0, 0].with(comes, 1));
  }
});

test('MSI: a vector that is masked is pending, and comes with the unmask', async () => {
  const it = await machine();
  const vectors = it.enable('msi', 1);
  const at = it.capability(CapabilityId.msi);
  it.setConfig(at + 0x10, 4, 1);
  it.registers.signal = 0;
  expect(await it.arrived(vectors)).toEqual([0]);
  // QEMU shows the pending bits that it holds itself; it has heard of none.
  expect(it.config(at + 0x14, 4)).toBe(it.slot.transport === 'qemu' ? 0 : 1);
  it.setConfig(at + 0x10, 4, 0);
  expect(await it.arrived(vectors)).toEqual([1]);
  expect(it.config(at + 0x14, 4)).toBe(0);
});

test('the function mask holds vectors back and shows them in the PBA, and clearing it delivers each once', async () => {
  const it = await machine();
  const vectors = it.enable('msix', 4);
  it.slot.function.setFunctionMask(true);
  it.registers.signal = 2;
  it.registers.signal = 3;
  it.registers.signal = 3;
  expect(await it.arrived(vectors)).toEqual(zeroes(4));
  expect(pendingMessages(it)).toEqual([2, 3]);
  it.slot.function.setFunctionMask(false);
  expect(await it.arrived(vectors)).toEqual([0, 0, 1, 1]);
  expect(pendingMessages(it)).toEqual([]);
});

test('what is served while it is pending is withdrawn, and comes no more', async () => {
  const it = await machine();
  const vectors = it.enable('msix', 4);
  it.slot.function.setFunctionMask(true);
  it.registers.signal = 1;
  it.registers.signal = 2;
  it.registers.withdraw = 2;
  expect(pendingMessages(it)).toEqual([1]);
  it.slot.function.setFunctionMask(false);
  expect(await it.arrived(vectors)).toEqual([0, 1, 0, 0]);
});

test("a vector's own mask holds it alone back", async () => {
  const it = await machine();
  const vectors = it.enable('msix', 3);
  const mask = (vector: number, value: number) =>
    it.slot.function.bar(0).write(TABLE + 16 * vector + 12, Uint8Array.of(value, 0, 0, 0), 0, 4);
  for (const { number } of vectors) mask(number, 0);
  mask(1, 1);
  it.registers.signal = 1;
  it.registers.signal = 2;
  expect(await it.arrived(vectors)).toEqual([0, 0, 1]);
  // QEMU keeps the table to itself, and the vector that it holds back too: the PBA is the device's.
  expect(pendingMessages(it)).toEqual(it.slot.transport === 'qemu' ? [] : [1]);
  mask(1, 0);
  expect(await it.arrived(vectors)).toEqual([0, 1, 0]);
});

test('messages are bus mastering: they wait for it', async () => {
  const it = await machine();
  const vectors = it.enable('msix', 2);
  it.slot.function.setBusMaster(false);
  it.registers.signal = 1;
  expect(await it.arrived(vectors)).toEqual([0, 0]);
  expect(pendingMessages(it)).toEqual([1]);
  it.slot.function.setBusMaster(true);
  expect(await it.arrived(vectors)).toEqual([0, 1]);
});

test('a sleeping function (D3hot) sends nothing, and what is pending comes when it wakes', async () => {
  const it = await machine();
  const vectors = it.enable('msix', 2);
  const powerState = it.capability(CapabilityId.powerManagement) + 4;
  it.setConfig(powerState, 2, 3);
  // QEMU lets nobody reach a BAR of a function that sleeps.
  it.slot.device.sendMessage(1);
  expect(await it.arrived(vectors)).toEqual([0, 0]);
  it.setConfig(powerState, 2, 0);
  expect(await it.arrived(vectors)).toEqual([0, 1]);
});

test('a vector that is raised before the driver has set it up is kept, and comes when it has', async () => {
  const it = await machine();
  it.enable('msix', 1);
  it.registers.signal = 7;
  await it.slot.settle();
  const vectors = it.enable('msix', 8);
  expect(await it.arrived(vectors)).toEqual(zeroes(8).with(7, 1));
});

test('what is pending when MSI-X is switched off is kept until it is on again', async () => {
  const it = await machine();
  it.enable('msix', 4);
  it.slot.function.setFunctionMask(true);
  it.registers.signal = 3;
  it.slot.function.disableInterrupts();
  it.slot.function.setFunctionMask(false);
  await it.slot.settle();
  expect(pendingMessages(it)).toEqual([3]);
  expect(await it.arrived(it.enable('msix', 4))).toEqual([0, 0, 0, 1]);
});

test('a Function Level Reset forgets what is pending, and messages come again when the driver has restored config space, as Linux does', async () => {
  const it = await machine();
  const vectors = it.enable('msix', 4);
  const control = it.capability(CapabilityId.msix) + 2;
  const places = it.slot.function.bars.map(({ index }) => 0x10 + 4 * index);
  const addresses = places.map((offset) => it.config(offset, 4));
  it.slot.function.setFunctionMask(true);
  it.registers.signal = 3;
  expect(pendingMessages(it)).toEqual([3]);
  it.slot.function.functionLevelReset();
  expect(it.slot.device.registers.resets).toBeGreaterThan(0);
  expect(pendingMessages(it)).toEqual([]);
  for (const [index, offset] of places.entries()) it.setConfig(offset, 4, addresses[index]!);
  it.setConfig(0x04, 2, 0x0007);
  it.setConfig(control, 2, 0xc000);
  it.setConfig(control, 2, 0x8000);
  expect(await it.arrived(vectors)).toEqual(zeroes(4));
  it.registers.signal = 2;
  expect(await it.arrived(vectors)).toEqual([0, 0, 1, 0]);
});

test('a reset of the machine (DEVICE_RESET) forgets what is pending, and messages come again when they are set up again', async () => {
  const before = await machine();
  before.enable('msix', 4);
  before.slot.function.setFunctionMask(true);
  before.registers.signal = 3;
  expect(pendingMessages(before)).toEqual([3]);
  const it = await before.reset();
  expect(pendingMessages(it)).toEqual([]);
  const vectors = it.enable('msix', 4);
  expect(await it.arrived(vectors)).toEqual(zeroes(4));
  it.registers.signal = 3;
  expect(await it.arrived(vectors)).toEqual([0, 0, 0, 1]);
});

test('kinds are switched at run time, and a level that is there comes out by the pin again', async () => {
  const it = await machine();
  it.registers.level = 1;
  for (let round = 0; round < 3; round++) {
    const messages = it.enable('msix', 2);
    it.registers.signal = 1;
    expect(await it.arrived(messages)).toEqual([0, 1]);
    expect(await it.arrived(it.enable('intx'))).toEqual([1]);
    const [message] = it.enable('msi');
    it.registers.signal = 0;
    expect(await it.arrived([message!])).toEqual([1]);
  }
});

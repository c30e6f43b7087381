import { CapabilityId, type InterruptVector } from '@sidecard/testing';
import { test } from 'vitest';
import { type Machine, machine } from './machine.ts';

const COMMAND = 0x04;
const INTX_DISABLE = 0x400;

test('of 10,000 levels (1,000 through QEMU), disabled, asleep, ended too early, with messages and resets in between, none is lost, and there is no other', async () => {
  const it = await machine();
  const powerState = it.capability(CapabilityId.powerManagement) + 4;
  let random = 1;
  const chance = (one: number) => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % one === 0;
  };
  const levels = it.slot.transport === 'qemu' ? 1000 : 10_000;
  let line = pin(it);
  for (let level = 0; level < levels; level++) {
    if (chance(32)) line = await messagesAndBack(it, chance(2));
    if (chance(64)) line = reset(it);
    const disabled = chance(4);
    const asleep = chance(16);
    if (disabled) it.setConfig(COMMAND, 2, it.config(COMMAND, 2) | INTX_DISABLE);
    if (asleep) it.setConfig(powerState, 2, 3);
    it.slot.device.setLevel(1);
    if (asleep) it.setConfig(powerState, 2, 0);
    if (disabled) it.setConfig(COMMAND, 2, it.config(COMMAND, 2) & ~INTX_DISABLE);
    await line.next();
    // A routine that ends before the card is quiet is called again.
    while (chance(4)) {
      it.endOfInterrupt(line);
      await line.next();
    }
    if (chance(32)) {
      line = await messagesAndBack(it, chance(2));
      await line.next();
    }
    it.registers.level = 0;
    await it.told();
    line.take();
    it.endOfInterrupt(line);
    await it.told();
    if (line.take() !== 0) throw new Error('an interrupt without a cause');
  }
});

const pin = (it: Machine): InterruptVector => it.enable('intx')[0]!;

async function messagesAndBack(it: Machine, msix: boolean): Promise<InterruptVector> {
  const vectors = it.enable(msix ? 'msix' : 'msi', msix ? 3 : 1);
  const last = vectors.at(-1)!;
  it.slot.function.setBusMaster(false);
  it.registers.signal = last.number;
  it.slot.function.setBusMaster(true);
  await last.next();
  return pin(it);
}

/** As a driver does with a card that it takes over. */
function reset(it: Machine): InterruptVector {
  const places = it.slot.function.bars.map(({ index }) => [0x10 + 4 * index, it.config(0x10 + 4 * index, 4)] as const);
  const command = it.config(COMMAND, 2);
  it.slot.function.functionLevelReset();
  for (const [offset, address] of places) it.setConfig(offset, 4, address);
  it.setConfig(COMMAND, 2, command);
  return pin(it);
}

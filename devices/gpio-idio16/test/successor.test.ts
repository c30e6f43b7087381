import { StateArena } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import { InProcessServer, VfioUserClient } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { Idio16 } from '../src/index.ts';
import { machine } from './driver/machine.ts';

test('a client that goes leaves the card as it is, and the next one finds it so', async () => {
  const { card, driver, slot } = await machine();
  driver.outputs = 0xffff;
  driver.enableInterrupts();
  slot.client.close();
  slot.server.settle();
  card.setTerminals(0x0001);
  const next = new VfioUserClient(slot.server.connect()!);
  next.version();
  expect([...next.regionRead(2, 0, 2)]).toEqual([0xff, 0x01]);
  expect([...next.regionRead(2, 4, 3)]).toEqual([0xff, 0, 5]);
});

test('what a successor process finds: lines, latch, switches, and an input whose filter begins anew', async () => {
  const arena = StateArena.alloc();
  const { card, driver } = await machine({ arena });
  driver.outputs = 0x4321;
  driver.enableInterrupts();
  card.setTerminals(0x0100);
  driver.registers.filtersLow = 0x01;
  card.setTerminals(0x0101);

  const { card: next, server } = successor(new StateArena(arena.buffer));
  expect([next.outputs, next.inputs, next.terminals]).toEqual([0x4321, 0x0100, 0x0101]);
  expect([next.state.interruptsOn, next.interruptLevel()]).toEqual([1, true]);
  server.clock.advance(5);
  expect(next.inputs).toBe(0x0101);
});

/** Another process's card on the same state; nobody probes it. */
function successor(arena: StateArena) {
  let card: Idio16 | null = null;
  const server = new InProcessServer({ native: new FakeNative(), arena }, (host) => {
    card = new Idio16(host);
    return card;
  });
  return { card: card! as Idio16, server };
}

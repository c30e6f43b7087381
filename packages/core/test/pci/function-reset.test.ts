import { PciBus } from '@sidecard/core';
import { expect, test } from 'vitest';
import { insertCard } from './card.ts';

test('FLR by Device Control resets the function, then tells the server', () => {
  const { config, capability, events, card, masterBus } = insertCard({
    identity: { express: true },
    bars: { 0: { kind: 'memory32', sizeBytes: 4096, windows: [] } },
  });
  const control = capability(0x10) + 8;
  masterBus();
  config.write(0x10, 4, 0xfebf_0000);
  config.write(control, 2, 0x0010);
  events.length = 0;
  config.write(control, 2, 0x8010);
  expect(events).toEqual(['device reset function', 'bus master false', 'function reset']);
  expect([config.read(0x10, 4), config.read(4, 2), config.read(control, 2), card.busMaster]).toEqual([
    0,
    0,
    0x2910,
    false,
  ]);
});

test('only the reset bit resets: not a write of the low byte, nor without the capability', () => {
  const { config, capability, events } = insertCard({ identity: { express: true } });
  config.write(capability(0x10) + 8, 1, 0xff);
  config.write(capability(0x10) + 9, 1, 0x7f);
  expect(events).toEqual([]);
  config.write(capability(0x10) + 9, 1, 0x80);
  expect(events).toEqual(['device reset function', 'function reset']);
});

test('a client that goes leaves the registers as they are', () => {
  const { card, masterBus, config, events } = insertCard();
  masterBus();
  card.reset('disconnect');
  expect([config.read(4, 2), events]).toEqual([4, ['bus master true', 'device reset disconnect']]);
});

test('a bus has functions at their places, and all ones elsewhere', () => {
  const bus = new PciBus();
  const [first, second, other] = [insertCard(), insertCard(), insertCard()];
  bus.add(3, 0, first.card);
  const out = new Uint8Array(4);
  const headerType = () => {
    bus.readConfig(3, 0, 0x0e, out, 0, 1);
    return out[0];
  };
  expect(headerType()).toBe(0);
  bus.add(3, 2, second.card);
  bus.add(0, 0, other.card);
  expect(headerType()).toBe(0x80);
  first.card.reset('conventional');
  expect(headerType()).toBe(0x80);
  bus.writeConfig(3, 2, 0x3c, new Uint8Array([9]), 0, 1);
  bus.writeConfig(4, 0, 0x3c, new Uint8Array([9]), 0, 1);
  expect([second.config.read(0x3c, 1), first.config.read(0x3c, 1)]).toEqual([9, 0]);
  bus.readConfig(4, 0, 0, out, 0, 4);
  expect([...out]).toEqual([255, 255, 255, 255]);
  expect([...bus.functions()].map(({ device, number }) => `${device}.${number}`)).toEqual(['0.0', '3.0', '3.2']);
  expect(() => bus.add(3, 2, other.card)).toThrow('3.2 is taken');
  expect(() => bus.add(32, 0, other.card)).toThrow('no place');
  bus.remove(3, 2);
  expect(headerType()).toBe(0);
});

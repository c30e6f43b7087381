import { StateArena } from '@sidecard/core';
import { expect, test } from 'vitest';
import { insertCard } from './card.ts';

const windows = [] as const;

test('a driver reads who the function is', () => {
  const { config, card } = insertCard({ identity: { revision: 3, subsystemVendor: 0x1af4, subsystem: 0x1100 } });
  expect(config.read(0, 4)).toBe(0x11e8_1234);
  expect(config.read(8, 4)).toBe(0x0108_0203);
  expect(config.read(0x2c, 4)).toBe(0x1100_1af4);
  expect(config.read(0x3d, 1)).toBe(1);
  expect(card.config.sizeBytes).toBe(256);
  config.write(0, 4, 0xffff_ffff);
  expect(config.read(0, 4)).toBe(0x11e8_1234);
  config.write(0x3c, 1, 11);
  expect(config.read(0x3c, 1)).toBe(11);
});

test('system software sizes BARs by writing ones', () => {
  const { config } = insertCard({
    bars: {
      0: { kind: 'memory64', sizeBytes: 0x4000, windows },
      2: { kind: 'memory32', sizeBytes: 0x1000, prefetchable: true, windows },
      3: { kind: 'io', sizeBytes: 256, windows },
      4: { kind: 'memory64', sizeBytes: 2 ** 33, windows },
    },
  });
  for (let bar = 0; bar < 6; bar++) config.write(0x10 + 4 * bar, 4, 0xffff_ffff);
  expect([0, 1, 2, 3, 4, 5].map((bar) => config.read(0x10 + 4 * bar, 4))).toEqual([
    0xffff_c004, 0xffff_ffff, 0xffff_f008, 0xffff_ff01, 0x0000_0004, 0xffff_fffe,
  ]);
  config.write(0x10, 4, 0xfebf_1234);
  expect(config.read(0x10, 4)).toBe(0xfebf_0004);
  config.write(0x30, 4, 0xffff_fffe);
  expect(config.read(0x30, 4)).toBe(0);
});

test('status bits are cleared by ones and no others are touched', () => {
  const { config, card } = insertCard();
  card.config.header.status.receivedMasterAbort = 1;
  card.config.header.status.detectedParityError = 1;
  config.write(6, 2, 0x2000);
  expect(config.read(6, 2)).toBe(0x8000);
  config.write(4, 4, 0x8000_0007);
  expect(config.read(4, 4)).toBe(0x0000_0007);
});

test('the command register has its bits, and bus mastering takes effect', () => {
  const { config, card, events } = insertCard();
  config.write(4, 2, 0xffff);
  expect(config.read(4, 2)).toBe(0x0547);
  expect(card.busMaster).toBe(true);
  config.write(4, 2, 0x0003);
  expect(card.busMaster).toBe(false);
  expect(events).toEqual(['bus master true', 'bus master false']);
});

test('a function without capabilities says so', () => {
  const { config } = insertCard({ identity: { interrupts: {} } });
  expect([config.read(6, 2) & 0x10, config.read(0x34, 1), config.read(0x3d, 1)]).toEqual([0, 0, 0]);
});

test('a driver walks the capability list', () => {
  const { config, card, capability, extendedCapability } = insertCard({
    bars: { 0: { kind: 'memory64', sizeBytes: 0x4000, windows } },
    identity: {
      powerManagement: true,
      express: true,
      advancedErrorReporting: true,
      serialNumber: new Uint8Array([0x02, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55]),
      vendorSpecific: [new Uint8Array([1, 2, 3]), new Uint8Array([0xaa])],
      interrupts: {
        intx: true,
        msi: 4,
        msix: { vectors: 33, table: { bar: 0, offset: 0x2000 }, pba: { bar: 0, offset: 0x3000 } },
      },
    },
  });
  expect(card.config.sizeBytes).toBe(4096);
  const list: number[] = [];
  for (let at = config.read(0x34, 1); at !== 0; at = config.read(at + 1, 1)) {
    expect(at % 4).toBe(0);
    list.push(config.read(at, 1));
  }
  expect(list).toEqual([1, 5, 0x11, 0x10, 9, 9]);
  const msix = capability(0x11);
  expect([config.read(msix + 2, 2), config.read(msix + 4, 4), config.read(msix + 8, 4)]).toEqual([32, 0x2000, 0x3000]);
  expect(config.bytes(capability(9), 6)).toEqual([9, config.read(capability(9) + 1, 1), 6, 1, 2, 3]);
  expect(extendedCapability(1)).toBe(0x100);
  const serial = extendedCapability(3);
  expect(config.bytes(serial + 4, 8)).toEqual([0x55, 0x44, 0x33, 0xfe, 0xff, 0x22, 0x11, 0x02]);
});

test('a function that is not express has no extended space', () => {
  expect(insertCard({ identity: { express: true } }).config.read(0x100, 4)).toBe(0);
  expect(() => insertCard({ identity: { advancedErrorReporting: true } })).toThrow('want `express`');
});

test('power management: D0 and D3hot, without a reset between; no DMA in D3hot', () => {
  const { config, capability, card, masterBus } = insertCard({ identity: { powerManagement: true } });
  const control = capability(1) + 4;
  masterBus();
  config.write(0x3c, 1, 10);
  config.write(control, 2, 3);
  expect([config.read(control, 2), card.busMaster]).toEqual([0x0b, false]);
  config.write(control, 2, 1);
  expect(config.read(control, 2)).toBe(0x0b);
  config.write(control, 2, 0);
  expect([config.read(control, 2), card.busMaster, config.read(0x3c, 1)]).toEqual([0x08, true, 10]);
});

test('the express capability makes sense to Linux: endpoint, FLR, a link that is up', () => {
  const { config, capability, device } = insertCard({ identity: { express: true } });
  const express = capability(0x10);
  expect(config.read(express + 2, 2)).toBe(2);
  expect(config.read(express + 4, 4) & 0x1000_8000).toBe(0x1000_8000);
  expect([config.read(express + 0x0c, 4) & 0x3ff, config.read(express + 0x12, 2)]).toEqual([0x11, 0x11]);
  expect(config.read(express + 0x0a, 2)).toBe(0);
  device.inFlight = 1;
  expect(config.read(express + 0x0a, 2)).toBe(0x20);
  device.inFlight = 0;
  expect(config.read(express + 0x0a, 2)).toBe(0);
});

test('AER: status by ones, masks written, severity as after a reset', () => {
  const { config, card, extendedCapability } = insertCard({
    identity: { express: true, advancedErrorReporting: true },
  });
  const aer = extendedCapability(1);
  expect(config.read(aer + 0x0c, 4)).toBe(0x0046_2030);
  card.config.advancedErrorReporting!.uncorrectableStatus.value = 0x0010_0010;
  config.write(aer + 4, 4, 0x10);
  expect(config.read(aer + 4, 4)).toBe(0x0010_0000);
});

test('config space is in the arena: a successor has what the driver has set up', () => {
  const arena = StateArena.alloc();
  insertCard({ arena }).masterBus();
  expect(insertCard({ arena: new StateArena(arena.buffer) }).card.busMaster).toBe(true);
});

import { type Bar, type Host, HostBuffer, type PciDevice, type PciIdentity } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import {
  CapabilityId,
  ExtendedCapabilityId,
  GuestRam,
  InProcessServer,
  PciBus,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import { expect, test } from 'vitest';

/** BARs of every kind, and nothing else. */
class Shelf implements PciDevice {
  readonly identity: PciIdentity = {
    vendor: 0x1234,
    device: 0x0001,
    classCode: 0x020000,
    interrupts: {
      intx: true,
      msi: 4,
      msix: { vectors: 3, table: { bar: 2, offset: 0 }, pba: { bar: 2, offset: 0x800 } },
    },
    express: true,
    powerManagement: true,
    advancedErrorReporting: true,
    serialNumber: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  };
  readonly bars: { readonly [index: number]: Bar } = {
    0: { kind: 'memory64', sizeBytes: 2 ** 33, prefetchable: true, windows: [] },
    2: { kind: 'memory32', sizeBytes: 0x1000, windows: [] },
    3: { kind: 'io', sizeBytes: 0x20, windows: [{ offset: 0, sizeBytes: 0x20, registers: plain(0x20) }] },
    4: { kind: 'memory32', sizeBytes: 16, windows: [] },
  };
  readonly host: Host;
  resets = 0;
  constructor(host: Host) {
    this.host = host;
  }
  interruptLevel(): boolean {
    return false;
  }
  reset(): void {
    this.resets++;
  }
}

function plain(sizeBytes: number) {
  const { bytes } = HostBuffer.alloc(sizeBytes);
  return {
    sizeBytes,
    read: (offset: number, target: Uint8Array, at: number, length: number) =>
      target.set(bytes.subarray(offset, offset + length), at),
    write: (offset: number, source: Uint8Array, at: number, length: number) =>
      bytes.set(source.subarray(at, at + length), offset),
  };
}

function attach() {
  const native = new FakeNative();
  const server = new InProcessServer({ native }, (host) => new Shelf(host));
  const client = new VfioUserClient(server.connect()!);
  client.version({ data: { capabilities: { max_msg_fds: 2 } } });
  const bus = new PciBus();
  const handle = bus.add(new VfioUserPort(native, client, GuestRam.private()));
  return { bus, handle, device: server.server.device as Shelf };
}

test('enumerates identity, BARs and capabilities', () => {
  const { bus, handle } = attach();
  expect(handle).toMatchObject({ vendor: 0x1234, device: 1, classCode: 0x020000 });
  expect(bus.find(0x1234, 1)).toBe(handle);
  expect(
    handle.bars.map(({ index, kind, sizeBytes, prefetchable }) => ({ index, kind, sizeBytes, prefetchable })),
  ).toEqual([
    { index: 0, kind: 'memory64', sizeBytes: 2 ** 33, prefetchable: true },
    { index: 2, kind: 'memory32', sizeBytes: 0x1000, prefetchable: false },
    { index: 3, kind: 'io', sizeBytes: 0x20, prefetchable: false },
    { index: 4, kind: 'memory32', sizeBytes: 16, prefetchable: false },
  ]);
  for (const { address, sizeBytes } of handle.bars) expect(address % sizeBytes).toBe(0);
  expect(handle.port.readConfig(0x14, 4)).toBe(Math.floor(handle.bars[0]!.address / 2 ** 32));
  const ids = handle.capabilities.map(({ id }) => id);
  const { powerManagement, msi, msix, express } = CapabilityId;
  expect(ids.sort()).toEqual([powerManagement, msi, express, msix].sort());
  const { advancedErrors, serialNumber } = ExtendedCapabilityId;
  expect(handle.extendedCapabilities.map(({ id }) => id).sort()).toEqual([advancedErrors, serialNumber].sort());
});

test('reads and writes BARs', () => {
  const { handle } = attach();
  const io = handle.bar(3);
  io.write(4, Uint8Array.of(0, 5, 6), 1, 2);
  const target = new Uint8Array(4);
  io.read(4, target, 1, 2);
  expect([...target]).toEqual([0, 5, 6, 0]);
  expect(() => handle.bar(1)).toThrow(/no BAR 1/);
});

test('vectors of each kind arrive, as promises', async () => {
  const { handle, device } = attach();
  handle.setBusMaster(true);
  expect(['intx', 'msi', 'msix'].map((mode) => handle.vectorCount(mode as 'msi'))).toEqual([1, 4, 3]);
  const msix = handle.enableInterrupts('msix', 3);
  device.host.interrupt.signal(2);
  await msix[2]!.next();
  expect(msix.map((vector) => vector.take())).toEqual([0, 0, 0]);
  const msi = handle.enableInterrupts('msi', 4);
  expect(device.host.interrupt).toMatchObject({ mode: 'msi', vectors: 4 });
  device.host.interrupt.signal(3);
  device.host.interrupt.signal(3);
  expect(msi.map((vector) => vector.take())).toEqual([0, 0, 0, 2]);
  await expect(msi[0]!.next(20)).rejects.toThrow(/waited 20 ms for interrupt 0/);
});

test('a function level reset', () => {
  const { handle, device } = attach();
  handle.setBusMaster(true);
  handle.functionLevelReset();
  expect(device.resets).toBe(1);
  expect(device.host.busMaster).toBe(false);
});

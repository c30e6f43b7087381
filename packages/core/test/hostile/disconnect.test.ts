import {
  Command,
  DMA_MAP_BYTES,
  DMA_UNMAP_BYTES,
  DmaMap,
  DmaUnmap,
  IrqIndex,
  IrqSetFlag,
  REGION_ACCESS_BYTES,
  RegionAccess,
} from '@sidecard/core';
import { encodeFields, encodeMessage, GuestRam, type VfioUserClient } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { victim } from './victim.ts';

const scene = victim();
const PAGE = 4096;
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

const mapMessage = encodeMessage(
  Command.dmaMap,
  encodeFields(DmaMap, DMA_MAP_BYTES, { argsz: DMA_MAP_BYTES, flags: 3, iova: 0x1000, sizeBytes: PAGE }),
);

function mapped(client: VfioUserClient): { ram: GuestRam; guest: ExerciserGuest } {
  const ram = GuestRam.shared(scene.native, { sizeBytes: 16 * PAGE });
  client.mapRam(ram);
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  return { ram, guest };
}

const states: [string, () => void | Promise<void>][] = [
  ['at once', () => void scene.stranger()],
  ['inside the first header', () => scene.stranger().wire.sendBytes(new Uint8Array(7))],
  [
    'behind VERSION, without reading its reply',
    () => void scene.stranger().wire.send(Command.version, new Uint8Array(4)),
  ],
  ['inside a header', () => scene.client().wire.sendBytes(mapMessage.subarray(0, 15))],
  [
    'inside a payload, with its descriptor',
    () => {
      const fd = scene.native.memfd('lost', PAGE);
      scene.client().wire.sendBytes(mapMessage.subarray(0, 40), [fd]);
      scene.native.close(fd);
    },
  ],
  [
    'with a descriptor that was never read',
    () => {
      const client = scene.client();
      const fd = scene.native.memfd('unread', PAGE);
      for (let i = 0; i < 10; i++) client.wire.sendBytes(mapMessage, [fd]);
      scene.native.close(fd);
    },
  ],
  [
    'with everything set up',
    () => {
      const client = scene.client();
      const { ram } = mapped(client);
      const fds = Array.from({ length: 16 }, () => scene.native.eventfd());
      const flags = IrqSetFlag.dataEventfd | IrqSetFlag.trigger;
      client.setIrqs({ index: IrqIndex.msix, flags, count: 16, fds });
      client.setIrqs({ index: IrqIndex.intx, flags, count: 1, fds: fds.slice(0, 1) });
      const unmask = IrqSetFlag.dataEventfd | IrqSetFlag.unmask;
      client.setIrqs({ index: IrqIndex.intx, flags: unmask, count: 1, fds: fds.slice(1, 2) });
      client.setIrqs({ index: IrqIndex.err, flags, count: 1, fds: fds.slice(2, 3) });
      for (const fd of fds) scene.native.close(fd);
      ram.close();
    },
  ],
  [
    'while it owes an answer to DMA_READ',
    () => {
      const client = scene.client();
      const ram = GuestRam.private({ sizeBytes: 64 * 1024 });
      client.mapRam(ram);
      const guest = new ExerciserGuest(client);
      guest.setBusMaster(true);
      client.wire.dma.hold();
      guest.start(1, ram.iova, 64 * 1024);
      while (client.wire.dma.held.length === 0) client.wire.turn();
    },
  ],
  [
    'while DMA_UNMAP waits',
    () => {
      const client = scene.client();
      const { ram, guest } = mapped(client);
      guest.pin(ram.iova, 100);
      const { iova, sizeBytes } = ram;
      client.wire.send(Command.dmaUnmap, encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { argsz: 24, iova, sizeBytes }));
      guest.registers.scratch = 1;
      ram.close();
    },
  ],
  [
    'while DEVICE_RESET waits',
    () => {
      const client = scene.client();
      const guest = new ExerciserGuest(client);
      guest.registers.inFlight = 1;
      client.wire.send(Command.deviceReset);
      guest.registers.inFlight = 1;
    },
  ],
  [
    'with I/O in flight',
    () => {
      const { ram, guest } = mapped(scene.client());
      guest.pin(ram.iova, 100);
      ram.close();
    },
  ],
  [
    'with replies that it never read',
    async () => {
      const client = scene.client();
      const fields = { region: 5, offset: 0, count: 0x10000 };
      const read = encodeMessage(Command.regionRead, encodeFields(RegionAccess, REGION_ACCESS_BYTES, fields));
      for (let i = 0; i < 100; i++) client.wire.transport.send(read, []);
      await pause();
    },
  ],
  [
    'with a twin socket',
    () => {
      const client = scene.stranger();
      const { twinFd } = client.version({
        data: { capabilities: { max_msg_fds: 1, twin_socket: { supported: true } } },
      });
      scene.native.close(twinFd);
    },
  ],
];

test.each(states)('hangs up %s', async (_, act) => {
  await act();
  await pause();
});

test('hangs up at a random moment, two hundred times', async () => {
  const ram = GuestRam.shared(scene.native, { sizeBytes: 16 * PAGE });
  for (let i = 0; i < 200; i++) {
    const client = i % 3 === 0 ? scene.stranger() : scene.client();
    const parts = Array.from({ length: 1 + (i % 5) }, () => [...mapMessage]).flat();
    client.wire.sendBytes(Uint8Array.from(parts).subarray(0, 1 + Math.floor(Math.random() * parts.length)), [ram.fd]);
    client.close();
  }
  ram.close();
});

test('device state is kept for the next client', () => {
  const client = scene.client();
  new ExerciserGuest(client).registers.scratch = 0x4711;
  client.close();
  expect(new ExerciserGuest(scene.client()).registers.scratch).toBe(0x4711);
});

test('a second client is refused at once, and the first is not disturbed', () => {
  const first = scene.client();
  const second = scene.stranger();
  expect(() => second.version()).toThrow(/hung up/);
  expect(first.deviceInfo().numIrqs).toBe(5);
});

test('a client that comes as soon as the first has hung up is served', () => {
  for (let i = 0; i < 50; i++) {
    const client = scene.client();
    client.close();
  }
});

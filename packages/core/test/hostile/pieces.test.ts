import {
  Command,
  DMA_MAP_BYTES,
  DmaMap,
  HeaderFlag,
  IRQ_SET_BYTES,
  IrqIndex,
  IrqSet,
  IrqSetFlag,
  REGION_ACCESS_BYTES,
  RegionAccess,
} from '@sidecard/core';
import { encodeFields, encodeMessage, GuestRam } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, victim } from './victim.ts';

const scene = victim();
const PAGE = 4096;

const map = (id: number, iova: number) =>
  encodeMessage(
    Command.dmaMap,
    encodeFields(DmaMap, DMA_MAP_BYTES, { argsz: DMA_MAP_BYTES, flags: 3, iova, sizeBytes: PAGE }),
    { id },
  );
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));

test('every byte by itself', async () => {
  const client = scene.client();
  const message = encodeMessage(
    Command.regionRead,
    encodeFields(RegionAccess, REGION_ACCESS_BYTES, { region: 0, offset: 0, count: 4 }),
    { id: 300 },
  );
  for (let at = 0; at < message.length; at++) {
    client.wire.sendBytes(message.subarray(at, at + 1));
    if (at % 4 === 0) await pause();
  }
  expect([...client.wire.reply(300).payload.subarray(16)]).toEqual([0x1e, 0xab, 0xa1, 0x5c]);
});

test('a descriptor on any byte of its message belongs to it', async () => {
  const client = scene.client();
  const ram = GuestRam.shared(scene.native, { sizeBytes: PAGE });
  ram.store(ram.iova, Uint8Array.of(9, 8, 7));
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  for (let cut = 1; cut < 48; cut += 3) {
    const message = map(500 + cut, 0x100000 + cut * PAGE);
    client.wire.sendBytes(message.subarray(0, cut));
    if (cut % 2 === 0) await pause();
    client.wire.sendBytes(message.subarray(cut), [ram.fd]);
    expect(client.wire.reply(500 + cut).error).toBe(0);
    expect([...guest.load(0x100000 + cut * PAGE, 3)!]).toEqual([9, 8, 7]);
  }
  expect(client.wire.dma.count).toBe(0);
  ram.close();
});

test('a descriptor in the middle of a message that goes on, and another behind it', async () => {
  const client = scene.client();
  const rams = [0, 1].map((n) => GuestRam.shared(scene.native, { iova: 0x10000 * (n + 1), sizeBytes: PAGE }));
  for (const [n, ram] of rams.entries()) ram.store(ram.iova, Uint8Array.of(n + 1));
  const first = map(1, rams[0]!.iova);
  const second = map(2, rams[1]!.iova);
  client.wire.sendBytes(first.subarray(0, 20));
  client.wire.sendBytes(first.subarray(20, 30), [rams[0]!.fd]);
  await pause();
  client.wire.sendBytes(Uint8Array.from([...first.subarray(30), ...second.subarray(0, 10)]));
  await pause();
  client.wire.sendBytes(second.subarray(10), [rams[1]!.fd]);
  for (const id of [1, 2]) expect(client.wire.reply(id).error).toBe(0);
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  for (const [n, ram] of rams.entries()) expect([...guest.load(ram.iova, 1)!]).toEqual([n + 1]);
  for (const ram of rams) ram.close();
});

test('eventfds that come in two pieces of one message are all its own', async () => {
  const client = scene.client();
  const fds = [scene.native.eventfd(), scene.native.eventfd()];
  const flags = IrqSetFlag.dataEventfd | IrqSetFlag.trigger;
  const payload = encodeFields(IrqSet, IRQ_SET_BYTES, { argsz: 20, flags, index: IrqIndex.msix, count: 2 });
  const message = encodeMessage(Command.deviceSetIrqs, payload, { id: 5 });
  client.wire.sendBytes(message.subarray(0, 17), [fds[0]!]);
  await pause();
  client.wire.sendBytes(message.subarray(17), [fds[1]!]);
  expect(client.wire.reply(5).error).toBe(0);
  const trigger = { index: IrqIndex.msix, flags: IrqSetFlag.dataNone | IrqSetFlag.trigger, count: 1 };
  client.setIrqs({ ...trigger, start: 1 });
  expect(fds.map((fd) => scene.native.drain(fd))).toEqual([0, 1]);
  for (const fd of fds) scene.native.close(fd);
});

test('a hundred messages in one write are answered in their order', () => {
  const client = scene.client();
  const parts: number[] = [];
  for (let id = 0; id < 100; id++) {
    const fields = { region: 0, offset: 0, count: 1 + (id % 16) };
    parts.push(...encodeMessage(Command.regionRead, encodeFields(RegionAccess, REGION_ACCESS_BYTES, fields), { id }));
  }
  client.wire.sendBytes(Uint8Array.from(parts));
  client.wire.reply(99);
  expect(client.wire.replies.map(({ id }) => id)).toEqual(Array.from({ length: 99 }, (_, id) => id));
  for (const { id, payload, flags } of client.wire.replies) {
    expect(flags).toBe(HeaderFlag.reply);
    expect(payload).toHaveLength(17 + (id % 16));
  }
  client.wire.replies.length = 0;
  expectInStep(client);
});

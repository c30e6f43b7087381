import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, IrqIndex, IrqSetFlag } from '@sidecard/core';
import { afterAll, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, victim } from './victim.ts';

const scene = victim();
const PAGE = 4096;
const assign = IrqSetFlag.dataEventfd | IrqSetFlag.trigger;

const emptyFile = join(tmpdir(), `empty-${process.pid}`);
afterAll(() => rmSync(emptyFile, { force: true }));

/** Descriptors that are not what they should be. */
const strange: [string, () => number][] = [
  ['an eventfd', () => scene.native.eventfd()],
  ['a socket', () => scene.native.socketPair()[0]],
  ['/dev/null', () => openSync('/dev/null', 'r+')],
  ['/dev/zero', () => openSync('/dev/zero', 'r+')],
  ['a folder', () => openSync(tmpdir(), 'r')],
  ['a path without access (O_PATH)', () => openSync(tmpdir(), 0o10000000)],
  ['an empty file', () => openSync(emptyFile, constants.O_CREAT | constants.O_RDWR)],
  ['a file that cannot be written', () => openSync('/proc/self/exe', 'r')],
  ['a file that cannot be read', () => openSync(emptyFile, 'w')],
  ['a file of /proc', () => openSync('/proc/self/status', 'r')],
];

test.each(strange)('DMA_MAP with %s: refused, or its DMA does no harm', (_, open) => {
  const client = scene.client();
  const fd = open();
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  try {
    client.dmaMap({ iova: 0x10000, sizeBytes: PAGE, fd });
  } catch (error) {
    expect(error).toMatchObject({ command: Command.dmaMap });
  }
  guest.load(0x10000, 64);
  guest.store(0x10800, new Uint8Array(64));
  guest.load(0x10ff8, 16);
  expectInStep(client);
  closeSync(fd);
});

test.each(strange)('SET_IRQS with %s: refused, or signals to it do no harm', (_, open) => {
  const client = scene.client();
  const fd = open();
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  for (const [index, flags] of [
    [IrqIndex.msix, assign],
    [IrqIndex.intx, assign],
    [IrqIndex.intx, IrqSetFlag.dataEventfd | IrqSetFlag.unmask],
    [IrqIndex.intx, IrqSetFlag.dataEventfd | IrqSetFlag.mask],
  ] as const) {
    try {
      client.setIrqs({ index, flags, count: 1, fds: [fd] });
    } catch (error) {
      expect(error).toMatchObject({ command: Command.deviceSetIrqs });
    }
  }
  const trigger = IrqSetFlag.dataNone | IrqSetFlag.trigger;
  for (const index of [IrqIndex.intx, IrqIndex.msix]) client.setIrqs({ index, flags: trigger, count: 1 });
  guest.registers.level = 1;
  guest.registers.level = 0;
  expectInStep(client);
  closeSync(fd);
});

test('a pipe whose other end is closed is signalled without harm', () => {
  const client = scene.client();
  const [ours, theirs] = scene.native.socketPair();
  scene.native.close(ours);
  client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [theirs] });
  client.setIrqs({ index: IrqIndex.intx, flags: IrqSetFlag.dataNone | IrqSetFlag.trigger, count: 1 });
  scene.native.close(theirs);
  expectInStep(client);
});

test('eventfds that are full never block the device, blocking mode or not', () => {
  const client = scene.client();
  const fds = [scene.native.eventfd(), scene.native.eventfd()];
  scene.native.setNonblock(fds[1]!, false);
  client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 2, fds });
  for (const fd of fds) saturate(fd);
  const guest = new ExerciserGuest(client);
  guest.setBusMaster(true);
  const trigger = { index: IrqIndex.msix, flags: IrqSetFlag.dataNone | IrqSetFlag.trigger, count: 2 };
  for (let i = 0; i < 10; i++) client.setIrqs(trigger);
  expectInStep(client);
  for (const fd of fds) scene.native.close(fd);
});

test('INTx with an unmask eventfd that is always readable does not starve the client', () => {
  const client = scene.client();
  const fd = openSync('/dev/zero', 'r');
  const [ours, theirs] = scene.native.socketPair();
  // A socket that is full of bytes: draining it eight bytes at a time takes for ever.
  scene.native.send(ours, new Uint8Array(100_000), 0, 100_000, null);
  for (const one of [fd, theirs]) {
    try {
      client.setIrqs({ index: IrqIndex.intx, flags: IrqSetFlag.dataEventfd | IrqSetFlag.unmask, count: 1, fds: [one] });
    } catch (error) {
      expect(error).toMatchObject({ command: Command.deviceSetIrqs });
    }
    for (let i = 0; i < 20; i++) expectInStep(client);
  }
  for (const one of [ours, theirs]) scene.native.close(one);
  closeSync(fd);
});

test.each([17, 64, 200])('%i descriptors with one message', (count) => {
  const client = scene.client();
  const fds = Array.from({ length: count }, () => scene.native.eventfd());
  const id = client.wire.send(Command.deviceSetIrqs, new Uint8Array(20), { fds });
  expect(client.wire.reply(id).error).not.toBe(0);
  for (let i = 0; i < 20; i++) {
    const { error } = client.wire.request(Command.deviceReset, new Uint8Array(0), { fds });
    expect(error).toBe(0);
  }
  for (const fd of fds) scene.native.close(fd);
  expectInStep(client);
});

test('descriptors on every piece of a message add up to no more than a message has', () => {
  const client = scene.client();
  const fds = Array.from({ length: 10 }, () => scene.native.eventfd());
  const id = client.wire.send(Command.deviceReset, new Uint8Array(0), { fds, sizeBytes: 16 + 200 });
  for (let i = 0; i < 200; i++) client.wire.sendBytes(new Uint8Array(1), fds);
  expect(client.wire.reply(id).error).toBe(0);
  for (const fd of fds) scene.native.close(fd);
});

/** Fills an eventfd to the brim: 2^64 - 2. */
function saturate(fd: number): void {
  const brim = new Uint8Array(8).fill(0xff);
  brim[0] = 0xfe;
  writeSync(fd, brim);
}

import { FakeNative } from '@sidecard/native';
import { expect, test } from 'vitest';
import { GuestRam } from '../../../testing/src/guest-ram.ts';
import { InProcessServer, type InProcessTransport } from '../../../testing/src/in-process.ts';
import { VfioUserClient } from '../../../testing/src/vfio-user-client.ts';
import { FdList } from '../../src/protocol/fd-list.ts';
import { Command, HeaderFlag, IrqIndex, IrqSetFlag, RegionIndex } from '../../src/protocol/messages.ts';
import type { Channel } from '../../src/server/channel.ts';
import { SocketChannel } from '../../src/server/socket-channel.ts';
import { Edu, start, toGuest } from './edu.ts';

function setUp(capacityBytes?: number) {
  const native = new FakeNative();
  const inProcess = new InProcessServer({ native }, (host) => new Edu(host));
  const edu = inProcess.server.device as Edu;
  const transport = inProcess.connect(capacityBytes)!;
  const client = new VfioUserClient(transport);
  client.version({ data: { capabilities: { max_msg_fds: 8, write_multiple: true } } });
  return { native, inProcess, edu, transport, client };
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
function u64(value: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
}
function word(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
function busMaster(client: VfioUserClient): void {
  client.regionWrite(RegionIndex.config, 4, new Uint8Array([0x06, 0]));
}
function startDma(client: VfioUserClient, iova: number, count: number, bits: number): void {
  client.regionWrite(0, 0x80, u64(iova));
  client.regionWrite(0, 0x88, u64(iova));
  client.regionWrite(0, 0x90, u64(count));
  client.regionWrite(0, 0x98, u32(bits));
}

test('a driver meets the device: identity, registers, factorial, interrupt', () => {
  const { native, client } = setUp();
  expect(word(client.regionRead(RegionIndex.config, 0, 4))).toBe(0x11e8_1234);
  expect(word(client.regionRead(0, 0, 4))).toBe(0x0100_00ed);
  client.regionWrite(0, 4, u32(0x1234_5678), true);
  expect(word(client.regionRead(0, 4, 4))).toBe(0xedcb_a987);
  const eventFd = native.eventfd();
  client.setIrqs({
    index: IrqIndex.intx,
    flags: IrqSetFlag.dataEventfd | IrqSetFlag.trigger,
    count: 1,
    fds: [eventFd],
  });
  client.regionWrite(0, 0x20, u32(0x80));
  client.regionWrite(0, 8, u32(5));
  expect(word(client.regionRead(0, 8, 4))).toBe(120);
  expect(native.drain(eventFd)).toBe(1);
});

test.each(['shared', 'private'] as const)('DMA both ways over %s memory', (kind) => {
  const { native, client, edu } = setUp();
  const ram = kind === 'shared' ? GuestRam.shared(native) : GuestRam.private();
  client.mapRam(ram);
  expect(edu.memoryChanges).toBe(1);
  busMaster(client);
  const pattern = Uint8Array.from({ length: 50_000 }, (_, i) => i * 7);
  ram.store(ram.iova + 0x1100, pattern);
  startDma(client, ram.iova + 0x1100, pattern.length, start);
  while (word(client.regionRead(0, 0x98, 4)) !== 0);
  expect(edu.buffer.bytes.subarray(0, pattern.length)).toEqual(pattern);
  startDma(client, ram.iova + 0x20_0000, pattern.length, start | toGuest);
  while (word(client.regionRead(0, 0x98, 4)) !== 0);
  expect(ram.load(ram.iova + 0x20_0000, pattern.length)).toEqual(pattern);
  expect(client.wire.dma.count > 0).toBe(kind === 'private');
});

test('the access that starts DMA is answered before the first DMA message', () => {
  const { client } = setUp();
  const ram = GuestRam.private();
  client.mapRam(ram);
  busMaster(client);
  client.wire.dmaWaitsForReply = true;
  startDma(client, ram.iova, 40_000, start);
  while (word(client.regionRead(0, 0x98, 4)) !== 0) client.wire.turn();
  expect(client.wire.dma.count).toBe(2);
});

test('a refused DMA message is a fault of the device, not of the connection', () => {
  const { client } = setUp();
  const ram = GuestRam.private();
  client.mapRam(ram);
  busMaster(client);
  client.wire.dma.decide = () => ({ errno: 19 });
  startDma(client, ram.iova, 40_000, start);
  while (word(client.regionRead(0, 0x98, 4)) === start) client.wire.turn();
  expect(word(client.regionRead(0, 0x98, 4))).toBe(0x100);
});

test('DEVICE_RESET waits for what is in flight, and others are served meanwhile', () => {
  const { client, edu } = setUp();
  edu.inFlight = 2;
  const id = client.wire.send(Command.deviceReset);
  client.wire.turn();
  expect(edu.resets).toEqual(['conventional']);
  expect(word(client.regionRead(0, 0, 4))).toBe(0x0100_00ed);
  edu.inFlight = 0;
  expect(client.wire.reply(id).flags).toBe(HeaderFlag.reply);
});

test('DEVICE_RESET does not wait for DMA messages: they are cancelled, and their late answers dropped', () => {
  const { client, edu } = setUp();
  const ram = GuestRam.private();
  client.mapRam(ram);
  busMaster(client);
  client.wire.dma.hold();
  startDma(client, ram.iova, 40_000, start);
  client.wire.turn();
  expect(client.wire.dma.held).toHaveLength(2);
  expect(edu.inFlight).toBe(1);
  client.reset();
  expect(edu.inFlight).toBe(0);
  client.wire.dma.release();
  expect(word(client.regionRead(0, 0, 4))).toBe(0x0100_00ed);
});

test('a Function Level Reset is a config write whose answer waits', () => {
  const { client, edu } = setUp();
  edu.inFlight = 1;
  const { pcie } = capabilities(client);
  const control = client.regionRead(RegionIndex.config, pcie + 8, 2);
  control[1]! |= 0x80;
  const id = client.wire.send(
    Command.regionWrite,
    new Uint8Array([pcie + 8, 0, 0, 0, 0, 0, 0, 0, RegionIndex.config, 0, 0, 0, 2, 0, 0, 0, ...control]),
  );
  client.wire.turn();
  client.wire.turn();
  expect(edu.resets).toEqual(['function']);
  expect(client.wire.replies).toEqual([]);
  edu.inFlight = 0;
  expect(client.wire.reply(id).payload).toHaveLength(16);
});

function capabilities(client: VfioUserClient): { pcie: number } {
  let at = client.regionRead(RegionIndex.config, 0x34, 1)[0]!;
  while (at !== 0) {
    const [id, next] = client.regionRead(RegionIndex.config, at, 2);
    if (id === 0x10) return { pcie: at };
    at = next!;
  }
  throw new Error('no PCI Express capability');
}

test('what never ends fails in time, with an error for all that waits, and the device is told', () => {
  const { client, edu, inProcess } = setUp();
  edu.inFlight = 1;
  const first = client.wire.send(Command.deviceReset);
  client.wire.turn();
  inProcess.clock.advance(3000);
  const second = client.wire.send(Command.deviceReset);
  client.wire.turn();
  inProcess.clock.advance(1000);
  expect(client.wire.reply(first)).toMatchObject({ error: 110, flags: 0x21 });
  expect(client.wire.reply(second)).toMatchObject({ error: 110, flags: 0x21 });
  expect(edu.failures).toHaveLength(1);
  edu.inFlight = 0;
  client.reset();
});

test('a client that hangs up leaves nothing behind, in any state, and the next is served', () => {
  const { native, client, edu, inProcess } = setUp();
  const before = native.openFds;
  const ram = GuestRam.shared(native);
  client.mapRam(ram);
  const eventFd = native.eventfd();
  client.setIrqs({ index: IrqIndex.msi, flags: IrqSetFlag.dataEventfd | IrqSetFlag.trigger, count: 1, fds: [eventFd] });
  client.regionWrite(0, 4, u32(1));
  edu.inFlight = 1;
  client.wire.send(Command.deviceReset);
  client.wire.turn();
  client.regionWrite(0, 4, u32(2));
  client.close();
  inProcess.settle();
  expect(edu.resets).toEqual(['conventional', 'disconnect']);
  native.close(eventFd);
  ram.close();
  expect(native.openFds).toBe(before);
  expect(inProcess.clock.timers).toBe(0);
  const next = new VfioUserClient(inProcess.connect()!);
  next.version();
  expect(word(next.regionRead(0, 4, 4))).toBe(0xffff_fffd);
});

test('a second client is refused while one is connected, and taken once the first has hung up', () => {
  const { client, inProcess } = setUp();
  expect(inProcess.connect()).toBeNull();
  expect(word(client.regionRead(0, 0, 4))).toBe(0x0100_00ed);
  client.wire.send(Command.deviceGetInfo, new Uint8Array(16));
  client.close();
  expect(inProcess.connect()).not.toBeNull();
});

test('replies that the client does not take wait, bounded, and lose nothing', () => {
  const { client, transport } = setUp(16 * 1024);
  const count = 20_000;
  let sent = 0;
  let received = 0;
  const reply = new Uint8Array(48);
  while (received < count) {
    for (; sent < count && trySend(transport, sent); sent++);
    transport.turn();
    while (takeReply(transport, reply)) {
      expect(new DataView(reply.buffer).getUint16(0, true)).toBe(received & 0xffff);
      received++;
    }
  }
  expect(word(client.regionRead(0, 0, 4))).toBe(0x0100_00ed);
});

function trySend(transport: InProcessTransport, id: number): boolean {
  const bytes = new Uint8Array(32);
  bytes.set([id & 0xff, (id >> 8) & 0xff, Command.regionRead, 0, 32]);
  bytes.set([16], 28);
  return transport.send(bytes, []) === 32;
}

function takeReply(transport: InProcessTransport, reply: Uint8Array): boolean {
  let at = 0;
  while (at < reply.length) {
    const count = transport.receive(reply.subarray(at), []);
    if (count <= 0) break;
    at += count;
  }
  if (at !== 0 && at !== reply.length) throw new Error('a reply in pieces');
  return at > 0;
}

test('a client that never takes its replies does not grow the server', () => {
  const { transport, inProcess } = setUp(16 * 1024);
  let sent = 0;
  for (let idle = 0; idle < 10; ) {
    if (trySend(transport, sent)) sent++;
    else if (!inProcess.server.turn()) idle++;
  }
  expect(sent).toBeLessThan(50_000);
  expect(inProcess.server.connected).toBe(true);
});

test('requests of the server go over the twin socket where the client offers one', () => {
  const native = new FakeNative();
  const inProcess = new InProcessServer({ native }, (host) => new Edu(host));
  const client = new VfioUserClient(inProcess.connect()!);
  const fdsBefore = native.openFds;
  let twin: Channel | null = null;
  client.version({ data: { capabilities: { max_msg_fds: 8, twin_socket: { supported: true } } } }, (fd) => {
    twin = new SocketChannel(native, fd);
    return twinTransport(twin, () => inProcess.server.turn());
  });
  expect(client.capabilities.twin_socket).toEqual({ supported: true, fd_index: 0 });
  expect(native.openFds).toBe(fdsBefore + 2);
  const ram = GuestRam.private();
  client.mapRam(ram);
  busMaster(client);
  ram.store(ram.iova, new Uint8Array([1, 2, 3, 4]));
  startDma(client, ram.iova, 4, start);
  while (word(client.regionRead(0, 0x98, 4)) !== 0) client.wire.turn();
  expect(client.wire.dma.count).toBe(1);
  client.close();
  inProcess.settle();
  twin!.close();
  expect(native.openFds).toBe(fdsBefore);
});

function twinTransport(channel: Channel, turn: () => boolean) {
  const list = new FdList();
  return {
    send: (bytes: Uint8Array) => channel.send(bytes, 0, bytes.length, list),
    receive: (target: Uint8Array) => channel.receive(target, 0, target.length, list),
    turn,
    close: () => channel.close(),
  };
}

test('a stream that makes no sense gets one error and ends; the next client is served', () => {
  const { client, inProcess } = setUp();
  const id = client.wire.send(Command.regionRead, new Uint8Array(0), { sizeBytes: 7 });
  expect(client.wire.reply(id)).toMatchObject({ error: 22, flags: 0x21 });
  inProcess.settle();
  expect(inProcess.server.connected).toBe(false);
  expect(inProcess.connect()).not.toBeNull();
});

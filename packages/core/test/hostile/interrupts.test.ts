import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, IrqSetFlag as Flag, IRQ_SET_BYTES, IrqIndex, IrqSet, RegionIndex } from '@sidecard/core';
import { encodeFields, type VfioUserClient } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, victim } from './victim.ts';

const scene = victim();
const assign = Flag.dataEventfd | Flag.trigger;
const unmaskByFd = Flag.dataEventfd | Flag.unmask;
/** Interrupts of the exerciser by index; VFIO has five. */
const counts = [1, 4, 32, 1, 1];

const eventFds = () => scene.daemon.holdings().fds.filter((fd) => fd.includes('[eventfd]')).length;

/** What VFIO's uapi says about struct vfio_irq_set, with data for `count` booleans. */
function makesSense(index: number, flags: number, start: number, count: number, fds: number): boolean {
  const kinds = [Flag.dataNone, Flag.dataBool, Flag.dataEventfd].filter((flag) => flags & flag);
  const actions = [Flag.mask, Flag.unmask, Flag.trigger].filter((flag) => flags & flag);
  if (kinds.length !== 1 || actions.length !== 1 || flags > 0x3f) return false;
  const [kind, action] = [kinds[0]!, actions[0]!];
  if (index > 4 || (action !== Flag.trigger && index !== IrqIndex.intx)) return false;
  if (count === 0) return kind === Flag.dataNone && action === Flag.trigger && start === 0 && fds === 0;
  return start + count <= counts[index]! && (fds === 0 || (kind === Flag.dataEventfd && fds === count));
}

function setIrqs(client: VfioUserClient, fields: object, dataBytes: number, fds: readonly number[]): number {
  const payload = new Uint8Array(IRQ_SET_BYTES + dataBytes);
  payload.set(encodeFields(IrqSet, IRQ_SET_BYTES, { argsz: payload.length, ...fields }));
  return client.wire.request(Command.deviceSetIrqs, payload, { fds }).error;
}

test('every combination of fields is taken or refused as a whole, and no descriptor of a refused one is kept', () => {
  const client = scene.client();
  const fds = [0, 1, 2].map(() => scene.native.eventfd());
  const before = eventFds();
  for (const index of [0, 1, 2, 3, 4, 5, 0xffff_ffff]) {
    for (let flags = 0; flags <= 0x47; flags++) {
      for (const [start, count] of [
        ...[0, 1, 2, 33].map((some) => [0, some] as const),
        ...[1, 3, 31, 32].map((from) => [from, 1] as const),
        ...[31, 0xffff_ffff, 0x8000_0000].map((from) => [from, 2] as const),
        ...[0x8000_0000, 0xffff_ffff].map((many) => [1, many] as const),
      ]) {
        for (const fdCount of [0, 1, 2, 3]) {
          const sense = makesSense(index, flags, start, count, fdCount);
          const error = setIrqs(client, { index, flags, start, count }, Math.min(count, 64), fds.slice(0, fdCount));
          if (error !== (sense ? 0 : 22)) expect({ index, flags, start, count, fdCount, error }).toEqual({ sense });
        }
      }
    }
    // What was refused closed its descriptors at once; what was taken is given back with the index.
    if (index <= IrqIndex.req) client.disableIrqs(index);
    expect(eventFds(), `index ${index}`).toBe(before);
  }
  expectInStep(client);
  for (const fd of fds) scene.native.close(fd);
}, 60_000);

test.each<[string, object, number]>([
  ['too short for its fields', { index: 2, flags: assign, count: 1 }, 12],
  ['empty', {}, 0],
  ['of an argsz that is too small', { argsz: 19, index: 2, flags: assign, count: 1 }, 20],
  ['of an argsz of 0', { argsz: 0, index: 0, flags: assign, count: 1 }, 20],
])('a message that is %s keeps no descriptor', (_, fields, sizeBytes) => {
  const client = scene.client();
  const before = eventFds();
  const payload = encodeFields(IrqSet, IRQ_SET_BYTES, { argsz: 20, ...fields }).subarray(0, sizeBytes);
  const fds = [0, 1, 2].map(() => scene.native.eventfd());
  expect(client.wire.request(Command.deviceSetIrqs, payload, { fds }).error).toBe(22);
  expectInStep(client);
  expect(eventFds()).toBe(before);
  for (const fd of fds) scene.native.close(fd);
});

test('an eventfd that is replaced a thousand times is one eventfd', () => {
  const client = scene.client();
  const before = eventFds();
  const fd = scene.native.eventfd();
  for (let times = 0; times < 1000; times++) {
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: times % 3, count: 1, fds: [fd] });
    client.setIrqs({ index: IrqIndex.intx, flags: unmaskByFd, count: 1, fds: [fd] });
  }
  expect(eventFds() - before).toBe(4);
  scene.native.close(fd);
});

test('an unmask "eventfd" that is a socket whose other end is closed neither raises a storm nor keeps a processor busy', async () => {
  const client = scene.client();
  const { native } = scene;
  const guest = new ExerciserGuest(client);
  client.reset();
  const trigger = native.eventfd();
  const [ours, theirs] = native.socketPair();
  client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [trigger] });
  client.setIrqs({ index: IrqIndex.intx, flags: unmaskByFd, count: 1, fds: [theirs] });
  native.close(theirs);
  guest.registers.level = 1;
  expect(native.drain(trigger)).toBe(1);
  // While it lives it works: eight bytes are a signal, whatever they are.
  native.signal(ours);
  for (const end = Date.now() + 3000; native.drain(trigger) === 0; expectInStep(client))
    expect(Date.now()).toBeLessThan(end);
  native.close(ours);
  await sleep(50);
  const cpu = scene.daemon.cpuNs();
  await sleep(300);
  expect(scene.daemon.cpuNs() - cpu).toBeLessThan(100e6);
  expect(native.drain(trigger)).toBe(0);
  // By message it goes on.
  client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataNone | Flag.unmask, count: 1 });
  expect(native.drain(trigger)).toBe(1);
  native.close(trigger);
});

test('an unmask eventfd that the client signals all the time leaves the messages their turns', async () => {
  const client = scene.client();
  const { native } = scene;
  const guest = new ExerciserGuest(client);
  client.reset();
  const [trigger, resample] = [native.eventfd(), native.eventfd()];
  client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [trigger] });
  client.setIrqs({ index: IrqIndex.intx, flags: unmaskByFd, count: 1, fds: [resample] });
  guest.registers.level = 1;
  for (let times = 0; times < 2000; times++) {
    native.signal(resample);
    if (times % 10 === 0) expectInStep(client);
  }
  await sleep(20);
  expect(native.drain(resample)).toBe(0);
  expect(native.drain(trigger)).toBeGreaterThan(0);
  for (const fd of [trigger, resample]) native.close(fd);
});

const saturated = (fd: number) => writeSync(fd, new BigUint64Array([2n ** 64n - 2n]));

test.each([
  ['non-blocking', true],
  ['blocking', false],
] as const)(
  'a %s eventfd that is full is signalled as it is, and is signalled again once it is drained',
  (_, nonblock) => {
    const client = scene.client();
    const { native } = scene;
    const guest = new ExerciserGuest(client);
    client.reset();
    guest.setBusMaster(true);
    const [intx, message] = [native.eventfd(), native.eventfd()];
    for (const fd of [intx, message]) {
      native.setNonblock(fd, nonblock);
      saturated(fd);
    }
    client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [intx] });
    guest.registers.level = 1;
    expectInStep(client);
    // Whoever waits for it finds it readable: the interrupt is in there.
    expect(native.drain(intx)).toBeGreaterThan(2 ** 63);
    client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataNone | Flag.unmask, count: 1 });
    expect(native.drain(intx)).toBe(1);

    client.disableIrqs(IrqIndex.intx);
    enableMsix(client);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1, fds: [message] });
    for (let times = 0; times < 100; times++) guest.registers.signal = 0;
    expect(native.drain(message)).toBeGreaterThan(2 ** 63);
    guest.registers.signal = 0;
    expect(native.drain(message)).toBe(1);
    for (const fd of [intx, message]) native.close(fd);
  },
);

test('a socket that is full, given as an eventfd: signals wait for nobody, and come again once there is room', () => {
  const client = scene.client();
  const { native } = scene;
  const guest = new ExerciserGuest(client);
  client.reset();
  guest.setBusMaster(true);
  enableMsix(client);
  const [reader, writer] = native.socketPair();
  native.setNonblock(writer, false);
  client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1, fds: [writer] });
  for (let times = 0; times < 2000; times++) guest.registers.signal = 0;
  expectInStep(client);
  const room = new Uint8Array(65536);
  let bytes = 0;
  for (let count = 1; count > 0; bytes += Math.max(0, count)) {
    count = native.receive(reader, room, 0, room.length, new Int32Array(2));
  }
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(2000 * 8);
  guest.registers.signal = 0;
  expect(native.receive(reader, room, 0, room.length, new Int32Array(2))).toBe(8);
  for (const fd of [reader, writer]) native.close(fd);
});

/** As a driver does: the capability's enable bit. */
function enableMsix(client: VfioUserClient): void {
  const byte = (offset: number) => client.regionRead(RegionIndex.config, offset, 1)[0]!;
  let at = byte(0x34);
  while (byte(at) !== 0x11) at = byte(at + 1);
  client.regionWrite(RegionIndex.config, at + 3, Uint8Array.of(0x80));
}

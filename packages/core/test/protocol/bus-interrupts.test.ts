/** Functions of one device, each with a client of its own: their pins, and what one client does to another's interrupts (nothing). */
import { writeSync } from 'node:fs';
import { IrqSetFlag as Flag, IrqIndex, RegionIndex } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { qemuOffer, SocketTransport, VfioUserClient } from '@sidecard/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type ExerciserBus, startExerciserBus } from '../exerciser/daemon.ts';
import { ExerciserGuest } from '../exerciser/guest.ts';

const native = loadNative();
const index = IrqIndex.intx;
const FUNCTIONS = 4;

/** A function with its client, and INTx connected. */
class Seat {
  readonly client: VfioUserClient;
  readonly guest: ExerciserGuest;
  readonly trigger = native.eventfd();

  constructor(path: string) {
    this.client = new VfioUserClient(SocketTransport.connect(native, path));
    this.client.version(qemuOffer);
    this.guest = new ExerciserGuest(this.client);
    this.client.reset();
    this.client.setIrqs({ index, flags: Flag.dataEventfd | Flag.trigger, count: 1, fds: [this.trigger] });
  }

  config(offset: number): number {
    return this.client.regionRead(RegionIndex.config, offset, 1)[0]!;
  }

  unmask(): void {
    this.client.setIrqs({ index, flags: Flag.dataNone | Flag.unmask, count: 1 });
  }

  signals(): number {
    return native.drain(this.trigger);
  }
}

let bus: ExerciserBus;
let seats: Seat[];

beforeAll(async () => {
  bus = await startExerciserBus(FUNCTIONS);
});
beforeEach(() => {
  seats = bus.sockets.map((path) => new Seat(path));
});
afterEach(() => {
  for (const { client, trigger } of seats) {
    client.close();
    native.close(trigger);
  }
});
afterAll(async () => {
  const status = await bus.daemon.stop();
  await bus.daemon.remove();
  expect([status, bus.daemon.log]).toEqual([0, '']);
});

const signals = () => seats.map((seat) => seat.signals());

test('each function says that there are more, and has a pin of its own, A to D', () => {
  expect(seats.map((seat) => seat.config(0x0e))).toEqual([0x80, 0x80, 0x80, 0x80]);
  expect(seats.map((seat) => seat.config(0x3d))).toEqual([1, 2, 3, 4]);
});

test('a level, a mask and a reset are those of one function', () => {
  const [first, second, third] = seats as [Seat, Seat, Seat, Seat];
  first.guest.registers.level = 1;
  third.guest.registers.level = 1;
  expect(signals()).toEqual([1, 0, 1, 0]);
  second.client.setIrqs({ index, flags: Flag.dataNone | Flag.mask, count: 1 });
  first.unmask();
  second.guest.registers.level = 1;
  expect(signals()).toEqual([1, 0, 0, 0]);
  first.client.reset();
  third.unmask();
  second.unmask();
  first.unmask();
  expect(signals()).toEqual([0, 1, 1, 0]);
  // The status registers say which of them it was, as a handler of a shared line asks.
  expect(seats.map((seat) => seat.config(0x06) & 8)).toEqual([0, 8, 8, 0]);
});

test("a client that takes no interrupts holds up no other's", () => {
  const [stuck, ...others] = seats as [Seat, Seat, Seat, Seat];
  native.setNonblock(stuck.trigger, false);
  writeSync(stuck.trigger, new BigUint64Array([2n ** 64n - 2n]));
  stuck.guest.registers.level = 1;
  for (let round = 0; round < 100; round++) {
    stuck.unmask();
    for (const other of others) {
      other.guest.registers.level = 1;
      expect(other.signals()).toBe(1);
      other.guest.registers.level = 0;
      other.unmask();
    }
  }
  expect(stuck.signals()).toBeGreaterThan(2 ** 63);
  stuck.unmask();
  expect(stuck.signals()).toBe(1);
});

test('a client that goes takes its own eventfds only', () => {
  const [first, ...others] = seats as [Seat, Seat, Seat, Seat];
  first.guest.registers.level = 1;
  first.client.close();
  for (const other of others) other.guest.registers.level = 1;
  expect(signals()).toEqual([1, 1, 1, 1]);
});

/** Interrupts when a client goes and the next one comes: eventfds go with their client, what the device has to tell stays. */
import { IrqSetFlag as Flag, IrqIndex, RegionIndex } from '@sidecard/core';
import { qemuOffer, type VfioUserClient } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, onBothSides } from '../exerciser/rig.ts';

const assign = Flag.dataEventfd | Flag.trigger;
const PBA = 0x3000;
const TABLE = 0x2000;

onBothSides('interrupts of the next client', qemuOffer, (scene) => {
  let open: number[];
  beforeEach(() => {
    open = [];
    scene.client.reset();
    new ExerciserGuest(scene.client).setBusMaster(true);
  });
  afterEach(() => {
    for (const fd of open) scene.rig.native.close(fd);
  });

  const eventFd = () => {
    const fd = scene.rig.native.eventfd();
    open.push(fd);
    return fd;
  };
  const signals = (fd: number) => {
    expectInStep(scene.client);
    return scene.rig.native.drain(fd);
  };
  const assigned = (index: number, start = 0) => {
    const fd = eventFd();
    scene.client.setIrqs({ index, flags: assign, start, count: 1, fds: [fd] });
    return fd;
  };
  const pending = () => scene.client.regionRead(0, PBA, 4).reduceRight((sum, byte) => sum * 256 + byte, 0);
  const guest = () => new ExerciserGuest(scene.client).registers;

  /** The client goes and another takes its place; the device is not reset. */
  const nextClient = () => {
    scene.client.close();
    scene.client = scene.rig.connect();
    scene.client.version(qemuOffer);
  };

  test('a level that is asserted is signalled to the next client, whose line is not masked', () => {
    const first = assigned(IrqIndex.intx);
    guest().level = 1;
    expect(signals(first)).toBe(1);
    scene.client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataNone | Flag.mask, count: 1 });
    nextClient();
    const second = assigned(IrqIndex.intx);
    expect([signals(first), signals(second)]).toEqual([0, 1]);
  });

  test('eventfds of the client before are signalled no more: the pin, messages, and ends of interrupts', async () => {
    const [line, message, resample] = [assigned(IrqIndex.intx), assigned(IrqIndex.msix), eventFd()];
    scene.client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataEventfd | Flag.unmask, count: 1, fds: [resample] });
    nextClient();
    const second = assigned(IrqIndex.intx);
    guest().level = 1;
    expect([signals(line), signals(second)]).toEqual([0, 1]);
    expect(scene.rig.native.signal(resample)).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([signals(second), scene.rig.native.drain(resample)]).toEqual([0, 1]);
    guest().level = 0;
    enableMsix(scene.client);
    guest().signal = 0;
    expect([signals(message), pending()]).toEqual([0, 1]);
  });

  test('what is pending is shown to the next client, and delivered to its eventfd', () => {
    enableMsix(scene.client);
    scene.client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1 });
    guest().signal = 3;
    guest().signal = 17;
    nextClient();
    expect(pending()).toBe((1 << 3) | (1 << 17));
    expect(signals(assigned(IrqIndex.msix, 17))).toBe(1);
    expect(pending()).toBe(1 << 3);
  });

  test("what a client has written to the MSI-X table masks nothing of the next one's, until that writes it too", () => {
    enableMsix(scene.client);
    const mask = (vector: number, value: number) =>
      scene.client.regionWrite(0, TABLE + 16 * vector + 12, Uint8Array.of(value, 0, 0, 0));
    const first = assigned(IrqIndex.msix);
    mask(0, 1);
    guest().signal = 0;
    expect([signals(first), pending()]).toEqual([0, 1]);
    nextClient();
    const second = assigned(IrqIndex.msix);
    expect([signals(second), pending()]).toEqual([1, 0]);
    mask(0, 1);
    guest().signal = 0;
    expect([signals(second), pending()]).toEqual([0, 1]);
  });

  test('DEVICE_RESET keeps eventfds and forgets what is pending', () => {
    enableMsix(scene.client);
    const fd = assigned(IrqIndex.msix, 5);
    functionMask(scene.client);
    guest().signal = 5;
    expect(pending()).toBe(1 << 5);
    scene.client.reset();
    expect(pending()).toBe(0);
    new ExerciserGuest(scene.client).setBusMaster(true);
    enableMsix(scene.client);
    expect(signals(fd)).toBe(0);
    guest().signal = 5;
    expect(signals(fd)).toBe(1);
  });
});

const enableMsix = (client: VfioUserClient) => writeMsixControl(client, 0x80);
const functionMask = (client: VfioUserClient) => writeMsixControl(client, 0xc0);

function writeMsixControl(client: VfioUserClient, upperByte: number): void {
  const byte = (offset: number) => client.regionRead(RegionIndex.config, offset, 1)[0]!;
  let at = byte(0x34);
  while (byte(at) !== 0x11) at = byte(at + 1);
  client.regionWrite(RegionIndex.config, at + 3, Uint8Array.of(upperByte));
}

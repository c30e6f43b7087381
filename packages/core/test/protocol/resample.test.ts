/**
 * INTx masked and unmasked by eventfds, as KVM does it: it lowers the line at the end of an interrupt and signals the *resample* eventfd, whereupon
 * the device says whether the level is still there. QEMU without KVM never sends one.
 */
import { IrqSetFlag as Flag, IrqIndex, RegionIndex } from '@sidecard/core';
import { qemuOffer } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, onBothSides } from '../exerciser/rig.ts';

const index = IrqIndex.intx;
const triggerFd = Flag.dataEventfd | Flag.trigger;
const maskFd = Flag.dataEventfd | Flag.mask;
const unmaskFd = Flag.dataEventfd | Flag.unmask;

onBothSides('INTx by eventfds', qemuOffer, (scene) => {
  let guest: ExerciserGuest;
  let trigger: number;
  let resample: number;
  let open: number[];

  const eventFd = () => {
    const fd = scene.rig.native.eventfd();
    open.push(fd);
    return fd;
  };
  const set = (flags: number, fd?: number) =>
    scene.client.setIrqs({ index, flags, count: 1, fds: fd === undefined ? [] : [fd] });

  beforeEach(() => {
    open = [];
    [trigger, resample] = [eventFd(), eventFd()];
    scene.client.reset();
    guest = new ExerciserGuest(scene.client);
    set(triggerFd, trigger);
    set(unmaskFd, resample);
  });
  afterEach(() => {
    for (const fd of open) scene.rig.native.close(fd);
  });

  /** How often the line has been signalled, once everything sent before has been handled. */
  const signals = () => {
    expectInStep(scene.client);
    return scene.rig.native.drain(trigger);
  };
  const signal = (fd: number) => expect(scene.rig.native.signal(fd)).toBe(0);
  const until = async (condition: () => boolean) => {
    for (let i = 0; i < 2500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(condition()).toBe(true);
  };
  const signalled = async () => {
    let count = 0;
    await until(() => {
      count += signals();
      return count > 0;
    });
    return count;
  };
  /** The server has looked at an eventfd that it drains, and whatever it did about it is done. */
  const taken = async (fd: number) => {
    await until(() => {
      expectInStep(scene.client);
      // Taking the count is the only way to see it: what was there is put back.
      const left = scene.rig.native.drain(fd);
      for (let i = 0; i < left; i++) signal(fd);
      return left === 0;
    });
    return signals();
  };

  test('a level that is still there at the end of the interrupt is signalled again, each time', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    for (let round = 0; round < 20; round++) {
      signal(resample);
      expect(await signalled()).toBe(1);
    }
  });

  test('a level that has gone is not, and the next one is', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    guest.registers.level = 0;
    signal(resample);
    expect(await taken(resample)).toBe(0);
    guest.registers.level = 1;
    expect(signals()).toBe(1);
  });

  test('two ends of an interrupt before the device looks are one', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    signal(resample);
    signal(resample);
    const count = await signalled();
    expect((await taken(resample)) + count).toBeLessThanOrEqual(2);
    expect(signals()).toBe(0);
  });

  test('an eventfd that was signalled before the device had it counts', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    const early = eventFd();
    signal(early);
    set(unmaskFd, early);
    expect(await signalled()).toBe(1);
  });

  test('replaced, the old one is nobody and the new one works', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    const fresh = eventFd();
    set(unmaskFd, fresh);
    signal(resample);
    for (let times = 0; times < 5; times++) expect(signals()).toBe(0);
    expect(scene.rig.native.drain(resample)).toBe(1);
    signal(fresh);
    expect(await signalled()).toBe(1);
  });

  test('taken away (no eventfd in the message), only messages unmask', () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    set(unmaskFd);
    signal(resample);
    for (let times = 0; times < 5; times++) expect(signals()).toBe(0);
    set(Flag.dataNone | Flag.unmask);
    expect(signals()).toBe(1);
  });

  test('switched off with the index, and not there when INTx comes back without it', () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    scene.client.disableIrqs(index);
    signal(resample);
    set(triggerFd, trigger);
    expect(signals()).toBe(1);
    for (let times = 0; times < 5; times++) expect(signals()).toBe(0);
    expect(scene.rig.native.drain(resample)).toBe(1);
  });

  test('closed by the client, the line works on by messages', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    signal(resample);
    expect(await signalled()).toBe(1);
    scene.rig.native.close(resample);
    open.splice(open.indexOf(resample), 1);
    set(Flag.dataNone | Flag.unmask);
    expect(signals()).toBe(1);
    const fresh = eventFd();
    set(unmaskFd, fresh);
    signal(fresh);
    expect(await signalled()).toBe(1);
  });

  test('it outlives DEVICE_RESET and Function Level Reset, with the line', async () => {
    for (const reset of [() => scene.client.reset(), () => functionLevelReset()]) {
      guest.registers.level = 1;
      await signalled();
      reset();
      signal(resample);
      expect(await taken(resample)).toBe(0);
      guest.registers.level = 1;
      expect(signals()).toBe(1);
      signal(resample);
      expect(await signalled()).toBe(1);
      guest.registers.level = 0;
      signal(resample);
      await taken(resample);
    }
  });

  test('interrupt disable holds an end of interrupt back too', async () => {
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    scene.client.regionWrite(RegionIndex.config, 5, Uint8Array.of(4));
    signal(resample);
    expect(await taken(resample)).toBe(0);
    scene.client.regionWrite(RegionIndex.config, 5, Uint8Array.of(0));
    expect(signals()).toBe(1);
  });

  test('as QEMU sets KVM up, and takes it back, while the level is there: masked, the eventfd comes or goes, unmasked', async () => {
    set(unmaskFd);
    guest.registers.level = 1;
    expect(signals()).toBe(1);
    set(Flag.dataNone | Flag.mask);
    set(unmaskFd, resample);
    expect(signals()).toBe(0);
    set(Flag.dataNone | Flag.unmask);
    expect(signals()).toBe(1);
    signal(resample);
    expect(await signalled()).toBe(1);
    set(Flag.dataNone | Flag.mask);
    // It closes its end, and says nothing.
    scene.rig.native.close(resample);
    open.splice(open.indexOf(resample), 1);
    expect(signals()).toBe(0);
    set(Flag.dataNone | Flag.unmask);
    expect(signals()).toBe(1);
  });

  test('a mask eventfd masks, until an unmask by the other', async () => {
    const mask = eventFd();
    set(maskFd, mask);
    signal(mask);
    expect(await taken(mask)).toBe(0);
    guest.registers.level = 1;
    expect(signals()).toBe(0);
    signal(resample);
    expect(await signalled()).toBe(1);
    set(maskFd);
    signal(mask);
    set(Flag.dataNone | Flag.unmask);
    expect(signals()).toBe(1);
    expect(scene.rig.native.drain(mask)).toBe(1);
  });

  function functionLevelReset(): void {
    const byte = (offset: number) => scene.client.regionRead(RegionIndex.config, offset, 1)[0]!;
    let at = byte(0x34);
    while (byte(at) !== 0x10) at = byte(at + 1);
    scene.client.regionWrite(RegionIndex.config, at + 9, Uint8Array.of(0x80));
  }
});

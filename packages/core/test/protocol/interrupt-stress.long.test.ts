import { IrqSetFlag as Flag, IrqIndex, RegionIndex } from '@sidecard/core';
import { qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { onBothSides, type Scene } from '../exerciser/rig.ts';

const LEVELS = 100_000;
const COMMAND = 4;
const INTX_DISABLE = 0x04;
const index = IrqIndex.intx;
const assign = Flag.dataEventfd | Flag.trigger;
const CapabilityId = { powerManagement: 0x01, express: 0x10, msix: 0x11 };

/** The client and the guest of a machine that does with its interrupts whatever may be done. */
class Restless {
  readonly guest: ExerciserGuest;
  trigger: number;
  resample: number;
  readonly message: number;
  readonly #scene: Scene;
  #random = 1;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.guest = new ExerciserGuest(scene.client);
    const { native } = scene.rig;
    [this.trigger, this.resample, this.message] = [native.eventfd(), native.eventfd(), native.eventfd()];
    scene.client.reset();
    this.guest.setBusMaster(true);
    this.connectPin();
  }

  chance(one: number): boolean {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) >>> 0;
    return (this.#random >>> 8) % one === 0;
  }

  connectPin(): void {
    const { client } = this.#scene;
    client.setIrqs({ index, flags: assign, count: 1, fds: [this.trigger] });
    client.setIrqs({ index, flags: Flag.dataEventfd | Flag.unmask, count: 1, fds: [this.resample] });
  }

  /** A machine that moves its eventfds; what the old ones had is gone with them. */
  replaceEventFds(): void {
    const { native } = this.#scene.rig;
    for (const fd of [this.trigger, this.resample]) native.close(fd);
    [this.trigger, this.resample] = [native.eventfd(), native.eventfd()];
    this.connectPin();
  }

  mask(): void {
    this.#scene.client.setIrqs({ index, flags: Flag.dataNone | Flag.mask, count: 1 });
  }

  unmask(): void {
    this.#scene.client.setIrqs({ index, flags: Flag.dataNone | Flag.unmask, count: 1 });
  }

  /** By message, or as KVM does it. */
  endOfInterrupt(): void {
    if (this.chance(2)) this.#scene.rig.native.signal(this.resample);
    else this.unmask();
  }

  disable(on: boolean): void {
    this.#scene.client.regionWrite(RegionIndex.config, COMMAND + 1, Uint8Array.of(on ? INTX_DISABLE : 0));
  }

  sleep(on: boolean): void {
    this.#writeCapability(CapabilityId.powerManagement, 4, on ? 3 : 0);
  }

  /** Both take the level away, and leave the eventfds. */
  reset(): void {
    if (this.chance(2)) this.#scene.client.reset();
    else this.#writeCapability(CapabilityId.express, 9, 0x80);
    this.guest.setBusMaster(true);
  }

  /** To MSI-X and back, as QEMU does it, with the level as it is; messages come meanwhile. */
  useMessages(): void {
    const { client, rig } = this.#scene;
    this.#writeCapability(CapabilityId.msix, 3, 0x80);
    client.disableIrqs(index);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1 });
    this.guest.registers.signal = 1;
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 1, count: 1, fds: [this.message] });
    this.guest.registers.signal = 1;
    expect(rig.native.drain(this.message)).toBe(2);
    this.#writeCapability(CapabilityId.msix, 3, 0);
    client.disableIrqs(IrqIndex.msix);
    this.connectPin();
  }

  /** Signals so far. What the level that is taken away had caused is here already. */
  signals(): number {
    return this.#scene.rig.native.drain(this.trigger);
  }

  async arrived(): Promise<void> {
    const { wire } = this.#scene.client;
    const deadline = performance.now() + 5000;
    for (let looks = 1; this.signals() === 0; looks++) {
      if (!wire.turn() || looks % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (performance.now() > deadline) throw new Error('an interrupt is lost');
    }
  }

  close(): void {
    for (const fd of [this.trigger, this.resample, this.message]) this.#scene.rig.native.close(fd);
  }

  #writeCapability(id: number, offset: number, value: number): void {
    const at = this.#capability(id);
    this.#scene.client.regionWrite(RegionIndex.config, at + offset, Uint8Array.of(value));
  }

  readonly #capabilities = new Map<number, number>();
  #capability(id: number): number {
    const byte = (offset: number) => this.#scene.client.regionRead(RegionIndex.config, offset, 1)[0]!;
    let at = this.#capabilities.get(id) ?? byte(0x34);
    while (!this.#capabilities.has(id) && byte(at) !== id) at = byte(at + 1);
    this.#capabilities.set(id, at);
    return at;
  }
}

onBothSides('interrupts under stress', qemuOffer, (scene) => {
  test(`of ${LEVELS.toLocaleString('en')} levels, masked, unmasked, resampled, disabled, moved and reset at random, none is lost, and there is no other`, async () => {
    const machine = new Restless(scene);
    const { guest } = machine;
    for (let level = 0; level < LEVELS; level++) {
      if (machine.chance(128)) machine.reset();
      if (machine.chance(64)) machine.replaceEventFds();
      if (machine.chance(64)) machine.useMessages();
      const asleep = machine.chance(64);
      const disabled = machine.chance(8);
      if (machine.chance(4)) machine.mask();
      if (disabled) machine.disable(true);
      if (asleep) machine.sleep(true);
      guest.registers.level = 1;
      if (machine.chance(16)) machine.mask();
      if (!asleep && machine.chance(64)) machine.useMessages();
      if (machine.chance(64)) machine.replaceEventFds();
      if (asleep) machine.sleep(false);
      if (disabled) machine.disable(false);
      machine.endOfInterrupt();
      await machine.arrived();
      // A routine that ends its interrupt before the card is quiet is called again.
      while (machine.chance(4)) {
        machine.endOfInterrupt();
        await machine.arrived();
      }
      guest.registers.level = 0;
      machine.signals();
      machine.endOfInterrupt();
      if (machine.signals() !== 0) throw new Error('an interrupt without a cause');
    }
    machine.close();
  });
});

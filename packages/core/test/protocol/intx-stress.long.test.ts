import { IrqSetFlag as Flag, IrqIndex, RegionIndex } from '@sidecard/core';
import { qemuOffer } from '@sidecard/testing';
import { afterEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { onBothSides } from '../exerciser/rig.ts';

const COMMAND = 4;
const INTX_DISABLE = 0x04;

onBothSides('INTx under stress', qemuOffer, (scene) => {
  const fds: number[] = [];
  afterEach(() => {
    for (const fd of fds.splice(0)) scene.rig.native.close(fd);
  });

  test('levels masked and unmasked at random, by messages, by eventfd and in config space: none of 100,000 (10,000 over a socket) is lost', async () => {
    const { client, rig } = scene;
    const { native } = rig;
    const guest = new ExerciserGuest(client);
    client.reset();
    guest.setBusMaster(true);
    const [trigger, resample] = [native.eventfd(), native.eventfd()];
    fds.push(trigger, resample);
    const index = IrqIndex.intx;
    client.setIrqs({ index, flags: Flag.dataEventfd | Flag.trigger, count: 1, fds: [trigger] });
    client.setIrqs({ index, flags: Flag.dataEventfd | Flag.unmask, count: 1, fds: [resample] });
    const mask = () => client.setIrqs({ index, flags: Flag.dataNone | Flag.mask, count: 1 });
    const unmask = () => client.setIrqs({ index, flags: Flag.dataNone | Flag.unmask, count: 1 });
    const disable = (on: boolean) =>
      client.regionWrite(RegionIndex.config, COMMAND + 1, Uint8Array.of(on ? INTX_DISABLE : 0));
    /** The end of an interrupt: by message, or as KVM does it. */
    const endOfInterrupt = () => (chance(2) ? native.signal(resample) : unmask());
    const arrived = async () => {
      const deadline = performance.now() + 5000;
      for (let looks = 1; ; looks++) {
        if (native.drain(trigger) > 0) return;
        if (!client.wire.turn() || looks % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (performance.now() > deadline) throw new Error('an interrupt is lost');
      }
    };
    let state = 1;
    const chance = (one: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % one === 0;
    };

    // Over a real socket each costs several round trips to another process.
    const levels = rig.kind === 'socket' ? 10_000 : 100_000;
    for (let level = 0; level < levels; level++) {
      const masked = chance(4);
      const disabled = chance(8);
      if (masked) mask();
      if (disabled) disable(true);
      guest.registers.level = 1;
      if (chance(16)) mask();
      if (disabled) disable(false);
      unmask();
      await arrived();
      // A routine that ends its interrupt before the card is quiet is called again.
      while (chance(4)) {
        endOfInterrupt();
        await arrived();
      }
      guest.registers.level = 0;
      endOfInterrupt();
    }
    expect(guest.registers.level).toBe(0);
  }, 60_000);
});

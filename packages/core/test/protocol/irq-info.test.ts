import { Command, IRQ_INFO_BYTES, IrqIndex, IrqInfo } from '@sidecard/core';
import { encodeFields, qemuOffer } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

onBothSides('DEVICE_GET_IRQ_INFO', qemuOffer, (scene) => {
  test('describes every index', () => {
    const { client } = scene;
    // EVENTFD, MASKABLE, AUTOMASKED; never NORESIZE.
    expect(client.irqInfo(IrqIndex.intx)).toEqual({ flags: 7, count: 1 });
    expect(client.irqInfo(IrqIndex.msi)).toEqual({ flags: 1, count: 4 });
    expect(client.irqInfo(IrqIndex.msix)).toEqual({ flags: 1, count: 32 });
    expect(client.irqInfo(IrqIndex.err)).toEqual({ flags: 1, count: 1 });
    expect(client.irqInfo(IrqIndex.req)).toEqual({ flags: 1, count: 1 });
  });

  test('refuses wrong indexes and sizes', () => {
    const { wire } = scene.client;
    const ask = (argsz: number, index: number, bytes = IRQ_INFO_BYTES) =>
      refusal(
        wire.request(
          Command.deviceGetIrqInfo,
          encodeFields(IrqInfo, IRQ_INFO_BYTES, { argsz, index }).subarray(0, bytes),
        ),
      );
    expect(ask(16, 5)).toBe(EINVAL);
    expect(ask(16, 0xffff_ffff)).toBe(EINVAL);
    expect(ask(15, 0)).toBe(EINVAL);
    expect(ask(16, 0, 12)).toBe(EINVAL);
    expectInStep(scene.client);
  });
});

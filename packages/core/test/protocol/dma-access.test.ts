import { Command, DMA_ACCESS_BYTES, DmaAccess, HeaderFlag } from '@sidecard/core';
import { decodeFields, encodeMessage, GuestRam, qemuOffer } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { expectInStep, onBothSides } from '../exerciser/rig.ts';

const EFAULT = 14;
const KIB = 1024;

onBothSides('DMA_READ and DMA_WRITE', qemuOffer, (scene) => {
  let ram: GuestRam;
  let guest: ExerciserGuest;
  const bytes = Uint8Array.from({ length: 64 * KIB }, (_, i) => (i * 31) >> 3);
  beforeEach(() => {
    ram = GuestRam.private({ iova: 0x1_2345_0000, sizeBytes: 256 * KIB });
    scene.client.mapRam(ram);
    guest = new ExerciserGuest(scene.client);
    guest.setBusMaster(true);
    ram.store(ram.iova, bytes);
  });
  // A request that was left unanswered ends with its connection, and the next test's device is free.
  afterEach(() => scene.client.wire.dma.release());

  const settled = () => {
    const { dma } = scene.client.wire;
    const deadline = Date.now() + 5000;
    while (guest.registers.dmaStatus === 1 && dma.held.length === 0 && Date.now() < deadline) scene.client.wire.turn();
  };

  test('ask for exactly what is needed, 32 KiB at most each', () => {
    const seen: { kind: string; iova: number; lengthBytes: number; bytes: number }[] = [];
    scene.client.wire.dma.decide = ({ kind, iova, lengthBytes, message }) => {
      seen.push({ kind, iova, lengthBytes, bytes: message.payload.length });
      expect(message.flags).toBe(0);
      return 'answer';
    };
    expect(guest.load(ram.iova + 1, 3)).toEqual(bytes.subarray(1, 4));
    expect(seen).toEqual([{ kind: 'read', iova: ram.iova + 1, lengthBytes: 3, bytes: DMA_ACCESS_BYTES }]);
    seen.length = 0;
    expect(guest.store(ram.iova + 7, bytes.subarray(0, 40 * KIB))).toBe(true);
    expect(seen.reduce((sum, one) => sum + one.lengthBytes, 0)).toBe(40 * KIB);
    for (const one of seen) {
      expect(one.lengthBytes).toBeLessThanOrEqual(32 * KIB);
      expect(one.bytes).toBe(DMA_ACCESS_BYTES + one.lengthBytes);
    }
  });

  test('the reply to DMA_WRITE may be the header alone', () => {
    scene.client.wire.dma.shortWriteReply = true;
    expect(guest.store(ram.iova, bytes.subarray(0, 100))).toBe(true);
    expect(guest.load(ram.iova, 100)).toEqual(bytes.subarray(0, 100));
  });

  test('answers come late and in any order; the device is served meanwhile', () => {
    const { client } = scene;
    client.wire.dma.hold();
    guest.start(1, ram.iova, 64 * KIB);
    settled();
    expectInStep(client);
    expect(guest.registers.dmaStatus).toBe(1);
    guest.registers.scratch = 5;
    expect(guest.registers.scratch).toBe(5);
    client.wire.dma.release((held) => held.reverse());
    while (guest.registers.dmaStatus === 1) client.wire.turn();
    expect(client.regionRead(5, 0, 64 * KIB)).toEqual(bytes);
  });

  test('an error of the client is a fault, nothing more', () => {
    const { dma } = scene.client.wire;
    dma.decide = () => ({ errno: EFAULT });
    expect(guest.load(ram.iova, 16)).toBeNull();
    expect(guest.store(ram.iova, new Uint8Array(16))).toBe(false);
    dma.decide = () => 'answer';
    expect(guest.load(ram.iova, 16)).toEqual(bytes.subarray(0, 16));
  });

  /** Answers the request held with a reply of one's own. */
  const answerWith = (payload: Uint8Array, command?: number, id?: number) => {
    const request = scene.client.wire.dma.held.shift()!.message;
    scene.client.wire.sendBytes(
      encodeMessage(command ?? request.command, payload, { id: id ?? request.id, flags: HeaderFlag.reply }),
    );
    return request;
  };

  test.each<[string, (count: number) => { payload: Uint8Array; command?: number }]>([
    ['too short', () => ({ payload: new Uint8Array(20) })],
    ['without payload', () => ({ payload: new Uint8Array(0) })],
    ['with another count', (n) => ({ payload: reply(n - 1, n) })],
    ['with a huge count', (n) => ({ payload: reply(0xffff_ffff_ffff, n) })],
    ['that claims to be for another command', (n) => ({ payload: reply(n, n), command: Command.dmaWrite })],
  ])('a reply %s is a fault', (_, make) => {
    scene.client.wire.dma.hold();
    guest.start(1, ram.iova, 64);
    settled();
    const { payload, command } = make(64);
    answerWith(payload, command);
    while (guest.registers.dmaStatus === 1) scene.client.wire.turn();
    expect(guest.registers.dmaStatus).toBe(3);
    expectInStep(scene.client);
  });

  test('a second reply to the same request is dropped', () => {
    scene.client.wire.dma.hold();
    guest.start(1, ram.iova, 64);
    settled();
    const { id } = answerWith(reply(64, 64, 0xaa));
    const again = encodeMessage(Command.dmaRead, reply(64, 64, 0xbb), { id, flags: HeaderFlag.reply });
    scene.client.wire.sendBytes(again);
    while (guest.registers.dmaStatus === 1) scene.client.wire.turn();
    expect([...scene.client.regionRead(5, 0, 2)]).toEqual([0xaa, 0xaa]);
    scene.client.wire.dma.release();
    expect(guest.load(ram.iova, 64)).toEqual(bytes.subarray(0, 64));
  });

  test('DEVICE_RESET cancels what is waited for, and a late reply finds nobody', () => {
    const { client } = scene;
    client.wire.dma.hold();
    guest.start(1, ram.iova, 64);
    settled();
    client.reset();
    expect(guest.registers.dmaStatus).not.toBe(1);
    client.wire.dma.release();
    guest.setBusMaster(true);
    expect(guest.load(ram.iova, 64)).toEqual(bytes.subarray(0, 64));
  });

  test('DMA_UNMAP does not wait for messages for ever', () => {
    const { client } = scene;
    client.wire.dma.hold();
    guest.start(1, ram.iova, 64);
    settled();
    const held = client.wire.dma.held.length;
    expect(held).toBe(1);
    const { iova, count } = decodeFields(DmaAccess, DMA_ACCESS_BYTES, client.wire.dma.held[0]!.message.payload);
    expect([iova, count]).toEqual([ram.iova, 64]);
    client.unmapRam(ram);
    client.wire.dma.release();
    while (guest.registers.dmaStatus === 1) client.wire.turn();
    expectInStep(client);
  });

  test('as QEMU: no DMA is answered while a reply is awaited', () => {
    const { client } = scene;
    client.wire.dmaWaitsForReply = true;
    expect(guest.store(ram.iova + 3, bytes.subarray(0, 1000))).toBe(true);
    expect(guest.load(ram.iova + 3, 1000)).toEqual(bytes.subarray(0, 1000));
  });
});

function reply(count: number, dataBytes: number, fill = 0): Uint8Array {
  const payload = new Uint8Array(DMA_ACCESS_BYTES + dataBytes).fill(fill, DMA_ACCESS_BYTES);
  new DataView(payload.buffer).setBigUint64(DmaAccess.count, BigInt(count), true);
  return payload;
}

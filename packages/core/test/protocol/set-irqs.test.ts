import { Command, IrqSetFlag as Flag, IRQ_SET_BYTES, IrqIndex, IrqSet, RegionIndex } from '@sidecard/core';
import { encodeFields, qemuOffer } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import { EINVAL, expectInStep, onBothSides, refusal } from '../exerciser/rig.ts';

const MSIX_CONTROL_ENABLE = 0x80;
const assign = Flag.dataEventfd | Flag.trigger;

onBothSides('DEVICE_SET_IRQS', qemuOffer, (scene) => {
  let guest: ExerciserGuest;
  let fds: number[];
  beforeEach(() => {
    fds = [];
    guest = new ExerciserGuest(scene.client);
    scene.client.reset();
    guest.setBusMaster(true);
  });
  afterEach(() => {
    for (const fd of fds) scene.rig.native.close(fd);
  });

  const eventFds = (count: number) => {
    const made = Array.from({ length: count }, () => scene.rig.native.eventfd());
    fds.push(...made);
    return made;
  };
  const eventFd = () => eventFds(1)[0]!;
  /** What has come, once everything sent before has been handled. */
  const drain = (fd: number) => {
    expectInStep(scene.client);
    return scene.rig.native.drain(fd);
  };
  /** Waits for what the server does about a descriptor of ours. */
  const eventually = async (condition: () => boolean) => {
    for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(condition()).toBe(true);
  };
  const enableMsix = () => {
    const { client } = scene;
    let at = client.regionRead(RegionIndex.config, 0x34, 1)[0]!;
    while (client.regionRead(RegionIndex.config, at, 1)[0] !== 0x11) {
      at = client.regionRead(RegionIndex.config, at + 1, 1)[0]!;
    }
    client.regionWrite(RegionIndex.config, at + 3, Uint8Array.of(MSIX_CONTROL_ENABLE));
    return at;
  };

  test('MSI-X as QEMU sets it up: INTx off, one vector without an fd, then an fd for each', () => {
    const { client } = scene;
    const [intx, one, two] = eventFds(3);
    client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [intx!] });
    enableMsix();
    client.disableIrqs(IrqIndex.intx);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1 });
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 2, fds: [one!, two!] });
    guest.registers.signal = 1;
    expect([drain(intx!), drain(one!), drain(two!)]).toEqual([0, 0, 1]);
    guest.registers.signal = 0;
    guest.registers.signal = 0;
    expect([drain(one!), drain(two!)]).toEqual([2, 0]);
  });

  test('a vector signalled before it has an fd is kept, and comes with the fd', () => {
    const { client } = scene;
    enableMsix();
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1 });
    guest.registers.signal = 3;
    const fd = eventFd();
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 3, count: 1, fds: [fd] });
    expect(drain(fd)).toBe(1);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 3, count: 1, fds: [fd] });
    expect(drain(fd)).toBe(0);
  });

  test('an fd is replaced, and taken away', () => {
    const { client } = scene;
    enableMsix();
    const [old, fresh] = eventFds(2);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 2, count: 1, fds: [old!] });
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 2, count: 1, fds: [fresh!] });
    guest.registers.signal = 2;
    expect([drain(old!), drain(fresh!)]).toEqual([0, 1]);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 2, count: 1 });
    guest.registers.signal = 2;
    expect(drain(fresh!)).toBe(0);
  });

  test('the function mask holds vectors back, and shows them in the PBA', () => {
    const { client } = scene;
    const at = enableMsix();
    const fd = eventFd();
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 1, fds: [fd] });
    client.regionWrite(RegionIndex.config, at + 3, Uint8Array.of(0xc0));
    guest.registers.signal = 0;
    expect(drain(fd)).toBe(0);
    expect(client.regionRead(0, 0x3000, 1)[0]).toBe(1);
    client.regionWrite(RegionIndex.config, at + 3, Uint8Array.of(0x80));
    expect(drain(fd)).toBe(1);
    expect(client.regionRead(0, 0x3000, 1)[0]).toBe(0);
  });

  test('16 fds in a message, all 32 vectors in two', () => {
    const { client } = scene;
    enableMsix();
    const all = eventFds(32);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 16, fds: all.slice(0, 16) });
    client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 16, count: 16, fds: all.slice(16) });
    for (const vector of [0, 15, 16, 31]) guest.registers.signal = vector;
    expectInStep(client);
    expect(all.map((fd) => scene.rig.native.drain(fd)).map((n, i) => n * i)).toContain(31);
    expect(client.irqInfo(IrqIndex.msix).count).toBe(32);
  });

  test('a client triggers a vector by itself', () => {
    const { client } = scene;
    enableMsix();
    const all = eventFds(4);
    client.setIrqs({ index: IrqIndex.msix, flags: assign, count: 4, fds: all });
    client.setIrqs({ index: IrqIndex.msix, flags: Flag.dataNone | Flag.trigger, start: 1, count: 2 });
    const bools = [true, false, false, true];
    client.setIrqs({ index: IrqIndex.msix, flags: Flag.dataBool | Flag.trigger, count: 4, bools });
    expect(all.map(drain)).toEqual([1, 1, 1, 1]);
  });

  test('INTx: signalled once, masked until it is unmasked, and again while the level is high', () => {
    const { client } = scene;
    const fd = eventFd();
    client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [fd] });
    guest.registers.level = 1;
    guest.registers.level = 1;
    expect(drain(fd)).toBe(1);
    const unmask = { index: IrqIndex.intx, flags: Flag.dataNone | Flag.unmask, count: 1 };
    client.setIrqs(unmask);
    expect(drain(fd)).toBe(1);
    guest.registers.level = 0;
    client.setIrqs(unmask);
    expect(drain(fd)).toBe(0);
    guest.registers.level = 1;
    expect(drain(fd)).toBe(1);
  });

  test('INTx: masked by the client', () => {
    const { client } = scene;
    const fd = eventFd();
    client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [fd] });
    client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataNone | Flag.mask, count: 1 });
    guest.registers.level = 1;
    expect(drain(fd)).toBe(0);
    client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataBool | Flag.unmask, count: 1, bools: [false] });
    expect(drain(fd)).toBe(0);
    client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataBool | Flag.unmask, count: 1, bools: [true] });
    expect(drain(fd)).toBe(1);
  });

  test('INTx: the unmask eventfd, as KVM resamples', async () => {
    const { client, rig } = scene;
    const [trigger, resample] = eventFds(2);
    client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [trigger!] });
    client.setIrqs({ index: IrqIndex.intx, flags: Flag.dataEventfd | Flag.unmask, count: 1, fds: [resample!] });
    guest.registers.level = 1;
    expect(drain(trigger!)).toBe(1);
    rig.native.signal(resample!);
    let signals = 0;
    await eventually(() => {
      signals += drain(trigger!);
      return signals > 0;
    });
    guest.registers.level = 0;
    rig.native.signal(resample!);
    // The server takes the signal; the level is low, so it sends none.
    await eventually(() => {
      expectInStep(client);
      const left = rig.native.drain(resample!);
      if (left > 0) rig.native.signal(resample!);
      return left === 0;
    });
    expect(drain(trigger!)).toBe(0);
  });

  test('an INTx level that is high when the fd comes is signalled', () => {
    guest.registers.level = 1;
    const fd = eventFd();
    scene.client.setIrqs({ index: IrqIndex.intx, flags: assign, count: 1, fds: [fd] });
    expect(drain(fd)).toBe(1);
    guest.registers.level = 0;
  });

  test('ERR is signalled when the device cannot go on', () => {
    if (scene.rig.kind === 'socket') return; // it is logged as an error, which the daemon's end checks for
    const fd = eventFd();
    guest.registers.fail = 1;
    scene.client.setIrqs({ index: IrqIndex.err, flags: assign, count: 1, fds: [fd] });
    expect(drain(fd)).toBe(1);
    guest.registers.fail = 1;
    expect(drain(fd)).toBe(1);
  });

  test('fds survive DEVICE_RESET', () => {
    const fd = eventFd();
    scene.client.setIrqs({ index: IrqIndex.msix, flags: assign, start: 5, count: 1, fds: [fd] });
    scene.client.reset();
    guest.setBusMaster(true);
    enableMsix();
    guest.registers.signal = 5;
    expect(drain(fd)).toBe(1);
  });

  const set = (fields: object, dataBytes = 0, withFds: number[] = []) => {
    const payload = new Uint8Array(IRQ_SET_BYTES + dataBytes);
    payload.set(
      encodeFields(IrqSet, IRQ_SET_BYTES, { argsz: payload.length, index: IrqIndex.msix, count: 1, ...fields }),
    );
    return scene.client.wire.request(Command.deviceSetIrqs, payload, { fds: withFds });
  };

  test.each<[string, object, number, number]>([
    ['an index that does not exist', { index: 5, flags: assign }, 0, 1],
    ['a start behind the vectors', { start: 32, flags: assign }, 0, 1],
    ['a count behind the vectors', { start: 31, count: 2, flags: assign }, 0, 2],
    ['a sum that wraps', { start: 0xffff_ffff, count: 2, flags: assign }, 0, 2],
    ['a huge count', { count: 0xffff_ffff, flags: assign }, 0, 1],
    ['fewer fds than the count', { count: 3, flags: assign }, 0, 2],
    ['more fds than the count', { count: 1, flags: assign }, 0, 2],
    ['no action', { flags: Flag.dataEventfd }, 0, 1],
    ['no data', { flags: Flag.trigger }, 0, 0],
    ['two actions', { flags: assign | Flag.mask }, 0, 1],
    ['two kinds of data', { flags: assign | Flag.dataNone }, 0, 1],
    ['unknown flags', { flags: assign | 0x40 }, 0, 1],
    ['fds with DATA_NONE', { flags: Flag.dataNone | Flag.trigger }, 0, 1],
    ['too few booleans', { count: 4, flags: Flag.dataBool | Flag.trigger }, 3, 0],
    ['count 0 with eventfds', { count: 0, flags: assign }, 0, 0],
    ['masks of MSI-X', { flags: Flag.dataNone | Flag.mask }, 0, 0],
    ['a short argsz', { argsz: 19, flags: assign }, 0, 1],
  ])('refuses %s', (_, fields, dataBytes, fdCount) => {
    expect(refusal(set(fields, dataBytes, eventFds(fdCount)))).toBe(EINVAL);
    expectInStep(scene.client);
  });

  test('refuses a short payload', () => {
    for (const length of [0, 4, 19]) {
      const payload = encodeFields(IrqSet, IRQ_SET_BYTES, { argsz: 20, index: 2, flags: assign, count: 1 });
      const fdList = eventFds(1);
      const reply = scene.client.wire.request(Command.deviceSetIrqs, payload.subarray(0, length), { fds: fdList });
      expect(refusal(reply)).toBe(EINVAL);
    }
  });

  test('trailing data is tolerated', () => {
    expect(set({ argsz: 20, flags: assign }, 44, eventFds(1)).error).toBe(0);
    expect(set({ argsz: 20, count: 0, flags: Flag.dataNone | Flag.trigger }, 8).error).toBe(0);
  });
});

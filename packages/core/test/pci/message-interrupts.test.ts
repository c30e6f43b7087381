import { IrqIndex } from '@sidecard/core';
import { expect, test } from 'vitest';
import { flags, insertCard } from './card.ts';

const { intx, msi, msix } = IrqIndex;
/** In BAR0. */
const TABLE = 0x10000;

/** As QEMU does: config write, INTx off, vector 0 with no fd, then a message with an fd per vector. */
function withMsix(vectors = 70) {
  const card = insertCard({
    bars: { 0: { kind: 'memory64', sizeBytes: 0x20000, windows: [] } },
    identity: {
      interrupts: { intx: true, msix: { vectors, table: { bar: 0, offset: TABLE }, pba: { bar: 0, offset: 0x3000 } } },
    },
  });
  const control = card.capability(0x11) + 2;
  card.masterBus();
  return {
    ...card,
    enable(bits = 0x8000) {
      card.config.write(control, 2, bits);
    },
    enableAsQemu(count: number): number[] {
      card.config.write(control, 2, 0x8000);
      card.set(intx, flags.none | flags.trigger, 0, 0);
      card.set(msix, flags.eventFd | flags.trigger, 0, 1);
      return card.listen(msix, 0, count);
    },
    writeControl(vector: number, value: number) {
      card.card.writeRegion(0, TABLE + vector * 16 + 12, new Uint8Array([value, 0, 0, 0]), 0, 4);
    },
    pendingBits(): number[] {
      const out = new Uint8Array(16);
      card.card.readRegion(0, 0x3000, out, 0, 16);
      return [...out].flatMap((byte, i) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => i * 8 + bit),
      );
    },
  };
}

test('MSI-X vectors are signalled by their fds', () => {
  const { enableAsQemu, interrupts, eventFds } = withMsix();
  const fds = enableAsQemu(3);
  expect([interrupts.mode, interrupts.vectors, interrupts.count(msix), interrupts.flags(msix)]).toEqual([
    'msix',
    70,
    70,
    1,
  ]);
  interrupts.signal(2);
  interrupts.signal(2);
  interrupts.signal(0);
  expect(fds.map((fd) => eventFds.take(fd))).toEqual([1, 0, 2]);
});

test('a vector without an fd stays pending in the PBA until its fd comes', () => {
  const { enableAsQemu, interrupts, eventFds, listen, pendingBits } = withMsix();
  enableAsQemu(1);
  interrupts.signal(5);
  interrupts.signal(69);
  interrupts.signal(69);
  expect(pendingBits()).toEqual([5, 69]);
  const [fd] = listen(msix, 69, 1);
  expect([eventFds.take(fd!), pendingBits()]).toEqual([1, [5]]);
  expect(eventFds.take(listen(msix, 5, 1)[0]!)).toBe(1);
  expect(pendingBits()).toEqual([]);
});

test('2,048 vectors, all pending: each comes once when its fd does, sixteen in a message', () => {
  const { enable, interrupts, eventFds, listen, set } = withMsix(2048);
  enable();
  set(msix, flags.eventFd | flags.trigger, 0, 1);
  for (let vector = 2047; vector >= 0; vector--) interrupts.signal(vector);
  for (let start = 2032; start >= 0; start -= 16) {
    const fds = listen(msix, start, 16);
    expect(fds.every((fd) => eventFds.take(fd) === 1)).toBe(true);
  }
  expect([...eventFds.open].some((fd) => eventFds.take(fd) > 0)).toBe(false);
});

test('vectors are removed in a range by EVENTFD without fds, and each fd is closed once', () => {
  const { enableAsQemu, interrupts, eventFds, set, pendingBits } = withMsix();
  const fds = enableAsQemu(4);
  set(msix, flags.eventFd | flags.trigger, 1, 2);
  expect(fds.map((fd) => eventFds.open.has(fd))).toEqual([true, false, false, true]);
  interrupts.signal(1);
  interrupts.signal(3);
  expect([eventFds.take(fds[3]!), pendingBits()]).toEqual([1, [1]]);
  set(msix, flags.none | flags.trigger, 0, 0);
  expect(eventFds.open.size).toBe(0);
});

test('the function mask holds all vectors back, and clearing it delivers', () => {
  const { enableAsQemu, enable, interrupts, eventFds, pendingBits } = withMsix();
  const fds = enableAsQemu(2);
  enable(0xc000);
  interrupts.signal(0);
  interrupts.signal(1);
  expect([fds.map((fd) => eventFds.take(fd)), pendingBits()]).toEqual([
    [0, 0],
    [0, 1],
  ]);
  enable(0x8000);
  expect([fds.map((fd) => eventFds.take(fd)), pendingBits()]).toEqual([[1, 1], []]);
});

test("a vector's mask counts only once the client has written the table", () => {
  const { enableAsQemu, interrupts, eventFds, writeControl, pendingBits } = withMsix();
  const fds = enableAsQemu(2);
  interrupts.signal(1);
  expect(eventFds.take(fds[1]!)).toBe(1);
  writeControl(0, 0);
  interrupts.signal(0);
  interrupts.signal(1);
  expect([fds.map((fd) => eventFds.take(fd)), pendingBits()]).toEqual([[1, 0], [1]]);
  writeControl(1, 0);
  expect([eventFds.take(fds[1]!), pendingBits()]).toEqual([1, []]);
  writeControl(1, 1);
  interrupts.signal(1);
  expect([eventFds.take(fds[1]!), pendingBits()]).toEqual([0, [1]]);
});

test('messages are bus mastering: they wait for it', () => {
  const { enableAsQemu, interrupts, eventFds, config, pendingBits } = withMsix();
  const [fd] = enableAsQemu(1);
  config.write(4, 2, 0);
  interrupts.signal(0);
  expect([eventFds.take(fd!), pendingBits()]).toEqual([0, [0]]);
  config.write(4, 2, 4);
  expect([eventFds.take(fd!), pendingBits()]).toEqual([1, []]);
});

test('a client that leaves config space alone enables MSI-X by its fds', () => {
  const { interrupts, listen, eventFds, set } = withMsix();
  const [fd] = listen(msix, 0, 1);
  expect(interrupts.mode).toBe('msix');
  interrupts.signal(0);
  expect(eventFds.take(fd!)).toBe(1);
  set(msix, flags.none | flags.trigger, 0, 0);
  expect(interrupts.mode).toBe('intx');
});

test('types are switched at run time, and the level comes out by INTx again', () => {
  const { enableAsQemu, enable, interrupts, eventFds, device, listenIntx, set } = withMsix();
  const line = listenIntx();
  device.level = true;
  interrupts.update();
  expect(eventFds.take(line)).toBe(1);
  enableAsQemu(1);
  interrupts.update();
  enable(0);
  set(msix, flags.none | flags.trigger, 0, 0);
  expect(eventFds.take(listenIntx())).toBe(1);
});

test('a reset forgets what is pending and keeps the fds', () => {
  const { enableAsQemu, enable, interrupts, eventFds, card, writeControl, pendingBits, masterBus } = withMsix();
  const [fd] = enableAsQemu(1);
  writeControl(0, 1);
  interrupts.signal(0);
  expect(pendingBits()).toEqual([0]);
  card.reset('function');
  expect([pendingBits(), eventFds.open.has(fd!)]).toEqual([[], true]);
  enable();
  masterBus();
  interrupts.signal(0);
  expect(eventFds.take(fd!)).toBe(1);
});

test('what is pending when MSI-X is switched off is kept, and comes when it is on again', () => {
  const { enableAsQemu, enable, interrupts, eventFds, set, pendingBits } = withMsix();
  enableAsQemu(2);
  enable(0xc000);
  interrupts.signal(1);
  enable(0);
  set(msix, flags.none | flags.trigger, 0, 0);
  expect(pendingBits()).toEqual([1]);
  const fds = enableAsQemu(2);
  expect([fds.map((fd) => eventFds.take(fd)), pendingBits()]).toEqual([[0, 1], []]);
});

test('what the driver has served by polling is pending no more: no spurious message when it unmasks', () => {
  const { enableAsQemu, enable, interrupts, eventFds, pendingBits } = withMsix();
  const fds = enableAsQemu(2);
  enable(0xc000);
  interrupts.signal(0);
  interrupts.signal(1);
  interrupts.withdraw(1);
  expect(pendingBits()).toEqual([0]);
  interrupts.signal(1);
  expect(pendingBits()).toEqual([0, 1]);
  interrupts.withdraw(1);
  enable(0);
  interrupts.withdraw(0);
  enable(0x8000);
  expect([fds.map((fd) => eventFds.take(fd)), pendingBits()]).toEqual([[0, 0], []]);
});

test('MSI: a vector that stands for several is not withdrawn by one of them', () => {
  const { capability, config, interrupts, masterBus } = insertCard({ identity: { interrupts: { msi: 4 } } });
  const at = capability(5);
  masterBus();
  config.write(at + 2, 2, 0x0011);
  interrupts.signal(3);
  interrupts.withdraw(1);
  expect(config.read(at + 0x14, 4)).toBe(2);
  config.write(at + 2, 2, 0x0021);
  interrupts.withdraw(1);
  expect(config.read(at + 0x14, 4)).toBe(0);
});

test('a vector whose eventfd is taken away keeps what is pending, and what comes', () => {
  const { enableAsQemu, enable, interrupts, eventFds, set, listen, pendingBits } = withMsix();
  enableAsQemu(3);
  enable(0xc000);
  interrupts.signal(1);
  set(msix, flags.eventFd | flags.trigger, 1, 2);
  enable(0x8000);
  interrupts.signal(2);
  expect(pendingBits()).toEqual([1, 2]);
  expect(listen(msix, 1, 2).map((fd) => eventFds.take(fd))).toEqual([1, 1]);
});

test('a client that goes takes its eventfds and its say about the table; what is pending comes to the next one', () => {
  const { enableAsQemu, interrupts, eventFds, card, writeControl, pendingBits, listen } = withMsix();
  enableAsQemu(3);
  writeControl(1, 1);
  interrupts.signal(1);
  expect(pendingBits()).toEqual([1]);
  card.reset('disconnect');
  expect([eventFds.open.size, pendingBits(), interrupts.mode]).toEqual([0, [1], 'msix']);
  interrupts.signal(0);
  expect(listen(msix, 0, 3).map((fd) => eventFds.take(fd))).toEqual([1, 1, 0]);
});

test('the client may trigger vectors itself', () => {
  const { enableAsQemu, eventFds, set } = withMsix();
  const fds = enableAsQemu(3);
  set(msix, flags.bool | flags.trigger, 0, 3, [], [1, 0, 1]);
  set(msix, flags.none | flags.trigger, 2, 1);
  expect(fds.map((fd) => eventFds.take(fd))).toEqual([1, 0, 2]);
});

test('a signal of a vector that does not exist is our mistake', () => {
  const { enableAsQemu, interrupts } = withMsix(2);
  enableAsQemu(2);
  expect(() => interrupts.signal(2)).toThrow('MSI-X vector 2 of 2');
});

test('a signal while neither MSI nor MSI-X is on goes nowhere', () => {
  const { interrupts, pendingBits } = withMsix();
  interrupts.signal(0);
  expect(pendingBits()).toEqual([]);
});

test('MSI: fewer vectors than wished for are shared, masked ones are pending', () => {
  const { capability, config, interrupts, listen, eventFds, masterBus } = insertCard({
    identity: { interrupts: { intx: true, msi: 4 } },
  });
  const at = capability(5);
  masterBus();
  expect([config.read(at + 2, 2), interrupts.count(msi)]).toEqual([0x0184, 4]);
  config.write(at + 4, 4, 0xfee0_1003);
  config.write(at + 12, 2, 0x4021);
  config.write(at + 2, 2, 0x0011);
  expect([config.read(at + 4, 4), config.read(at + 2, 2)]).toEqual([0xfee0_1000, 0x0195]);
  const fds = listen(msi, 0, 2);
  expect([interrupts.mode, interrupts.vectors]).toEqual(['msi', 2]);
  interrupts.signal(3);
  expect(fds.map((fd) => eventFds.take(fd))).toEqual([0, 1]);
  config.write(at + 0x10, 4, 0xffff_ffff);
  expect(config.read(at + 0x10, 4)).toBe(0xf);
  interrupts.signal(0);
  expect([eventFds.take(fds[0]!), config.read(at + 0x14, 4)]).toEqual([0, 1]);
  config.write(at + 0x10, 4, 0xe);
  expect([eventFds.take(fds[0]!), config.read(at + 0x14, 4)]).toEqual([1, 0]);
});

test('MSI with fewer vectors enabled than before: what is pending beyond them comes by those that are left', () => {
  const { capability, config, interrupts, listen, eventFds, masterBus } = insertCard({
    identity: { interrupts: { msi: 4 } },
  });
  const at = capability(5);
  masterBus();
  config.write(at + 2, 2, 0x0021);
  interrupts.signal(3);
  expect(config.read(at + 0x14, 4)).toBe(8);
  config.write(at + 2, 2, 0x0020);
  expect(config.read(at + 0x14, 4)).toBe(8);
  config.write(at + 2, 2, 0x0011);
  expect(config.read(at + 0x14, 4)).toBe(2);
  const fds = listen(msi, 0, 2);
  expect([fds.map((fd) => eventFds.take(fd)), config.read(at + 0x14, 4)]).toEqual([[0, 1], 0]);
});

test('MSI with more vectors enabled than there are uses those there are', () => {
  const { capability, config, interrupts } = insertCard({ identity: { interrupts: { msi: 1 } } });
  config.write(capability(5) + 2, 2, 0x0071);
  expect([interrupts.mode, interrupts.vectors]).toEqual(['msi', 1]);
});

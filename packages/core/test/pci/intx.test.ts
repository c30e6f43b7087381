import { IrqIndex } from '@sidecard/core';
import { expect, test } from 'vitest';
import { flags, insertCard } from './card.ts';

const { intx } = IrqIndex;

function withLine() {
  const card = insertCard();
  const fd = card.listenIntx();
  return {
    ...card,
    fd,
    raise() {
      card.device.level = true;
      card.interrupts.update();
    },
    lower() {
      card.device.level = false;
      card.interrupts.update();
    },
    signals: () => card.eventFds.take(fd),
    mask: () => card.set(intx, flags.none | flags.mask, 0, 1),
    unmask: () => card.set(intx, flags.none | flags.unmask, 0, 1),
  };
}

test('GET_IRQ_INFO says EVENTFD, MASKABLE and AUTOMASKED', () => {
  const { interrupts } = withLine();
  expect([interrupts.count(intx), interrupts.flags(intx), interrupts.mode, interrupts.vectors]).toEqual([
    1,
    7,
    'intx',
    1,
  ]);
  expect(insertCard({ identity: { interrupts: {} } }).interrupts.count(intx)).toBe(0);
});

test('a level is signalled once, and again only after an unmask and if it is still there', () => {
  const { raise, lower, signals, unmask } = withLine();
  raise();
  expect(signals()).toBe(1);
  raise();
  lower();
  raise();
  expect(signals()).toBe(0);
  unmask();
  expect(signals()).toBe(1);
  lower();
  unmask();
  expect(signals()).toBe(0);
  raise();
  expect(signals()).toBe(1);
});

test('a masked line is signalled by the unmask', () => {
  const { raise, signals, mask, unmask } = withLine();
  expect(mask()).toBe(0);
  raise();
  expect(signals()).toBe(0);
  expect(unmask()).toBe(0);
  expect(signals()).toBe(1);
});

test('mask and unmask with BOOL data do what the byte says', () => {
  const { raise, signals, set } = withLine();
  set(intx, flags.bool | flags.mask, 0, 1, [], [0]);
  raise();
  expect(signals()).toBe(1);
  set(intx, flags.bool | flags.unmask, 0, 1, [], [0]);
  expect(signals()).toBe(0);
  set(intx, flags.bool | flags.unmask, 0, 1, [], [1]);
  expect(signals()).toBe(1);
});

test("KVM's resample eventfd is kept, drained, and unmasks", () => {
  const { raise, lower, signals, set, eventFds } = withLine();
  const resample = eventFds.make();
  expect(set(intx, flags.eventFd | flags.unmask, 0, 1, [resample])).toBe(0);
  raise();
  expect(signals()).toBe(1);
  eventFds.clientWrites(resample);
  expect([signals(), eventFds.take(resample)]).toEqual([1, 0]);
  lower();
  eventFds.clientWrites(resample);
  expect(signals()).toBe(0);
  set(intx, flags.eventFd | flags.unmask, 0, 1);
  expect([eventFds.open.has(resample), eventFds.watched.size]).toEqual([false, 0]);
});

test('a mask eventfd masks', () => {
  const { raise, signals, set, eventFds } = withLine();
  const maskFd = eventFds.make();
  set(intx, flags.eventFd | flags.mask, 0, 1, [maskFd]);
  eventFds.clientWrites(maskFd);
  raise();
  expect(signals()).toBe(0);
});

test('what the client has masked stays masked when its eventfd is replaced, until it unmasks or switches INTx off', () => {
  const { raise, mask, unmask, listenIntx, set, eventFds } = withLine();
  mask();
  raise();
  const second = listenIntx();
  expect(eventFds.take(second)).toBe(0);
  unmask();
  expect(eventFds.take(second)).toBe(1);
  mask();
  set(intx, flags.none | flags.trigger, 0, 0);
  expect(eventFds.take(listenIntx())).toBe(1);
});

test('a signal that went to an eventfd that is replaced is given to the new one', () => {
  const { raise, signals, listenIntx, eventFds } = withLine();
  raise();
  expect(signals()).toBe(1);
  expect(eventFds.take(listenIntx())).toBe(1);
});

test("the client's own trigger signals whatever the level, then the line counts as masked", () => {
  const { raise, signals, set } = withLine();
  expect(set(intx, flags.none | flags.trigger, 0, 1)).toBe(0);
  expect(signals()).toBe(1);
  raise();
  expect(signals()).toBe(0);
  set(intx, flags.bool | flags.trigger, 0, 1, [], [0]);
  expect(signals()).toBe(0);
});

test('a level that was there first is signalled when the eventfd comes, as after a machine reset', () => {
  const card = insertCard();
  card.device.level = true;
  card.interrupts.update();
  const fd = card.listenIntx();
  expect(card.eventFds.take(fd)).toBe(1);
  expect(card.set(intx, flags.none | flags.trigger, 0, 0)).toBe(0);
  expect(card.eventFds.open.size).toBe(0);
  card.interrupts.update();
  expect(card.eventFds.take(card.listenIntx())).toBe(1);
});

test('INTx disable holds the line back, and the status bit tells the level all the same', () => {
  const { raise, lower, signals, config } = withLine();
  config.write(4, 2, 0x400);
  raise();
  expect([signals(), config.read(6, 2) & 8]).toEqual([0, 8]);
  config.write(4, 2, 0);
  expect(signals()).toBe(1);
  lower();
  expect(config.read(6, 2) & 8).toBe(0);
});

test('a function in D3hot asserts no line; in D0 it does again', () => {
  const card = insertCard({ identity: { powerManagement: true } });
  const fd = card.listenIntx();
  const powerState = card.capability(1) + 4;
  card.config.write(powerState, 2, 3);
  card.device.level = true;
  card.interrupts.update();
  expect(card.eventFds.take(fd)).toBe(0);
  card.config.write(powerState, 2, 0);
  expect(card.eventFds.take(fd)).toBe(1);
});

test('an unmask eventfd that has come to its end, as a pipe may, is looked at no more, and closed when it is replaced', () => {
  const { raise, signals, set, eventFds } = withLine();
  const pipe = eventFds.make();
  set(intx, flags.eventFd | flags.unmask, 0, 1, [pipe]);
  raise();
  expect(signals()).toBe(1);
  eventFds.hangUp(pipe);
  expect([signals(), eventFds.watched.has(pipe), eventFds.open.has(pipe)]).toEqual([0, false, true]);
  set(intx, flags.eventFd | flags.unmask, 0, 1, [eventFds.make()]);
  expect(eventFds.open.has(pipe)).toBe(false);
});

test('a reset keeps the eventfd and takes the level away', () => {
  const { raise, signals, card, events, config, unmask } = withLine();
  raise();
  expect(signals()).toBe(1);
  card.reset('conventional');
  unmask();
  expect([signals(), config.read(6, 2) & 8]).toEqual([0, 0]);
  raise();
  expect(signals()).toBe(1);
  expect(events).toEqual(['device reset conventional']);
});

test('SET_IRQS that makes no sense is EINVAL, and its fds are closed', () => {
  const { set, eventFds, fd } = withLine();
  const wrong: [number, number, number, number, number, number[]?][] = [
    [intx, flags.eventFd | flags.trigger, 0, 2, 2],
    [intx, flags.eventFd | flags.trigger, 1, 1, 1],
    [intx, flags.eventFd | flags.trigger, 2 ** 32 - 1, 2, 2],
    [intx, flags.eventFd | flags.trigger, 0, 1, 2],
    [intx, flags.eventFd | flags.bool | flags.trigger, 0, 1, 1],
    [intx, flags.eventFd | flags.trigger | flags.mask, 0, 1, 1],
    [intx, flags.eventFd, 0, 1, 1],
    [intx, flags.trigger, 0, 1, 0],
    [intx, flags.eventFd | flags.trigger | 0x40, 0, 1, 1],
    [intx, flags.none | flags.trigger, 0, 1, 1],
    [intx, flags.bool | flags.trigger, 0, 1, 0, []],
    [intx, flags.none | flags.mask, 0, 0, 0],
    [intx, flags.eventFd | flags.trigger, 0, 0, 0],
    [IrqIndex.msi, flags.eventFd | flags.trigger, 0, 1, 1],
    [IrqIndex.err, flags.none | flags.mask, 0, 1, 0],
    [5, flags.eventFd | flags.trigger, 0, 1, 1],
    [2 ** 32 - 1, flags.none | flags.trigger, 0, 0, 0],
  ];
  for (const [index, flag, start, count, fdCount, data] of wrong) {
    const fds = Array.from({ length: fdCount }, () => eventFds.make());
    expect(set(index, flag, start, count, fds, data), JSON.stringify([index, flag, start, count])).toBe(22);
  }
  expect([...eventFds.open]).toEqual([fd]);
});

test('ERR stops the machine where the client has asked for it, REQ asks for the device back', () => {
  const { interrupts, listen, eventFds, set } = insertCard();
  expect([interrupts.fail(), interrupts.requestRelease()]).toEqual([false, false]);
  const [error] = listen(IrqIndex.err, 0, 1);
  const [request] = listen(IrqIndex.req, 0, 1);
  expect(eventFds.take(error!)).toBe(1);
  expect([interrupts.fail(), interrupts.requestRelease()]).toEqual([true, true]);
  expect([eventFds.take(error!), eventFds.take(request!)]).toEqual([1, 1]);
  set(IrqIndex.err, flags.none | flags.trigger, 0, 1);
  expect(eventFds.take(error!)).toBe(1);
  set(IrqIndex.err, flags.none | flags.trigger, 0, 0);
  expect([interrupts.fail(), eventFds.open.has(error!)]).toEqual([false, false]);
});

test('a failure before the client has asked for ERR is told when it does, unless a reset came in between', () => {
  const { interrupts, listen, eventFds, card } = insertCard();
  interrupts.fail();
  const [first] = listen(IrqIndex.err, 0, 1);
  expect(eventFds.take(first!)).toBe(1);
  const [second] = listen(IrqIndex.err, 0, 1);
  expect(eventFds.take(second!)).toBe(0);
  for (const end of ['conventional', 'function', 'disconnect'] as const) {
    card.reset('disconnect');
    interrupts.fail();
    card.reset(end);
    expect(eventFds.take(listen(IrqIndex.err, 0, 1)[0]!)).toBe(0);
  }
});

test('a client that goes leaves no fd behind, and the next one starts unmasked', () => {
  const { card, raise, eventFds, set, listen, listenIntx, signals, events } = withLine();
  set(intx, flags.eventFd | flags.unmask, 0, 1, [eventFds.make()]);
  set(intx, flags.eventFd | flags.mask, 0, 1, [eventFds.make()]);
  listen(IrqIndex.err, 0, 1);
  raise();
  expect(signals()).toBe(1);
  card.reset('disconnect');
  expect([eventFds.open.size, eventFds.watched.size]).toEqual([0, 0]);
  expect(events).toEqual(['device reset disconnect']);
  expect(eventFds.take(listenIntx())).toBe(1);
});

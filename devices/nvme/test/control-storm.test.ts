import { generator } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Controlled, opener } from './controlled.ts';
import { started, ways } from './machine.ts';
import { Storm } from './storm.ts';
import { TestDrive } from './test-drive.ts';

const mib = 1 << 20;

describe.each(ways)('a queue that is full of commands while namespaces come, grow and go, %s memory', (way) => {
  test.each([1])('no command is lost, none ends twice, and none reads what was not written (seed %i)', async (seed) => {
    const random = generator(seed);
    const coming = new TestDrive(mib, { seed: 9 });
    const { open } = opener({ 'coming.img': coming });
    const made = await started(way, { drives: [new TestDrive(mib)], controller: { openDrive: open } });
    const { driver, client, handle, controller } = made;
    coming.slow = true;
    const { submit } = coming;
    coming.submit = (request) => {
      expect(coming.closed).toBe(false);
      return submit.call(coming, request);
    };
    made.drive.slow = true;
    const control = new Controlled(made);
    let queue = made.queue;
    const storm = new Storm(driver, queue, { staying: [1], coming: [2], random });
    const requests = [
      () => control.begin('POST', '/namespaces', { drive: 'coming.img', nsid: 2 }),
      () => control.begin('POST', '/namespaces', { drive: 'coming.img', nsid: 2, attached: false }),
      () => control.begin('DELETE', '/namespaces/2'),
      () => control.begin('POST', '/namespaces/2/attach'),
      () => control.begin('POST', '/namespaces/2/detach'),
      () => control.begin('PATCH', '/namespaces/1', { sizeBytes: made.drive.geometry.sizeBytes + 4096 }),
      () => control.begin('POST', '/namespaces', { drive: 'null:1M', nsid: 3 }),
      () => control.begin('DELETE', '/namespaces/3'),
    ];
    const counts = new Map<number, number>();
    for (let round = 0; round < 60; round++) {
      const asked = [0, 1].map(() => requests[Math.floor(random() * requests.length)]!());
      for (let turns = Math.floor(random() * 4); turns > 0; turns--) await storm.turn();
      if (random() < 0.1) {
        if (random() < 0.5) client.regionWrite(7, handle.find(0x10)! + 8, Uint8Array.of(0, 0x80), true);
        driver.registers.cc.value = 0;
        await control.pass(5);
        handle.setBusMaster(true);
        await driver.enable();
        queue = await driver.createQueues(1);
        storm.reset(queue);
      }
      for (const one of asked) {
        await storm.until(() => one.answer, 'an answer');
        const { status, body } = one.answer!;
        expect([status, body]).toEqual([expect.toBeOneOf([200, 204, 404, 409]), body]);
        counts.set(status, (counts.get(status) ?? 0) + 1);
      }
    }
    await storm.settle();
    await control.pass();
    expect(storm.count(1, 0)).toBeGreaterThan(100);
    expect([storm.count(2, 0) > 10, storm.count(2, 2) > 10]).toEqual([true, true]);
    for (const status of [200, 204, 409]) expect([status, counts.get(status)! > 5]).toEqual([status, true]);
    expect(controller.namespaces.list.every(({ users }) => users === 0)).toBe(true);
    expect(controller.processor.inFlight).toBe(0);
    // What was acknowledged last is what is there.
    storm.values(2).forEach((values, slot) => {
      expect([slot, values]).toEqual([slot, expect.arrayContaining([coming.bytes[slot * 4096]])]);
    });
  });
});

import type { HostBuffer } from '@sidecard/core';
import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { createDoorbellPage } from '../../src/queues/doorbell-page.ts';
import { Status } from '../../src/status.ts';
import { machine, pattern, ways } from './machine.ts';

// Whoever rings writes the BAR. Our client sends a message; QEMU has the page mapped into it, and stores there, unless there has been an
// interrupt by the pin: then it traps, for 1.1 s of the guest's time, to see the end of the interrupt routine. Polling leaves the pin on.
describe.each(ways)('doorbells that are a mapped page, %s memory', (way) => {
  async function mapped(interrupts: 'polled' | 'msix' = 'msix') {
    let page: HostBuffer | null = null;
    const made = await machine(way, {
      interrupts,
      doorbellPage: (native) => {
        const created = createDoorbellPage(native);
        page = created.memory;
        return created;
      },
    });
    await made.driver.enable();
    return { ...made, page: page! as HostBuffer };
  }

  test.each(['polled', 'msix'] as const)(
    'a queue goes round, and the page has its tail and its head, %s',
    async (interrupts) => {
      const { driver, page } = await mapped(interrupts);
      const queue = await driver.createQueues(1, { entries: 8 });
      for (let lba = 0; lba < 30; lba++) {
        await driver.write(queue, 1, lba, pattern(512, lba), { blockBytes: 512 });
        expect(await driver.read(queue, 1, lba, 512, { blockBytes: 512 })).toEqual(pattern(512, lba));
      }
      expect([...page.words.subarray(2, 4)]).toEqual([queue.tail, queue.head]);
    },
  );

  test('a full completion queue goes on when the page says so', async () => {
    const { driver, settle, ram } = await mapped();
    const queue = await driver.createQueues(1, { entries: 4 });
    const prp1 = ram.allocate(4096);
    for (let round = 0; round < 10; round++) {
      for (let index = 0; index < 3; index++) queue.push({ opcode: 2, nsid: 1, prp1 });
      queue.ring();
      await settle();
      expect(queue.reap()).toBe(3);
    }
  });

  test('is cleared by a reset', async () => {
    const { driver, page } = await mapped();
    const queue = await driver.createQueues(1);
    await driver.flush(queue, 1);
    expect(page.words.some((word) => word !== 0)).toBe(true);
    await driver.disable();
    expect(page.words.every((word) => word === 0)).toBe(true);
  });

  test('nonsense in it is an event, once', async () => {
    const { driver, settle, controller } = await mapped();
    await driver.createQueues(1);
    for (const nonsense of [0xffff_ffff, 64, 0x7fff_ffff]) {
      driver.trapped.tail(1, nonsense);
      await settle();
    }
    expect(controller.errors.count).toBe(3);
    driver.trapped.tail(1, 0);
    await settle();
    expect(controller.errors.count).toBe(3);
  });

  test('Doorbell Buffer Config is not there, since nobody asks EventIdx about a page', async () => {
    const { driver } = await mapped();
    expect((await driver.identifyController()).oacs & (1 << 8)).toBe(0);
    const effects = new DataView((await driver.logPage(5, 4096)).buffer);
    expect(effects.getUint32(4 * AdminOpcode.doorbellBufferConfig, true)).toBe(0);
    const prp1 = driver.ram.allocate(8192);
    const config = { opcode: AdminOpcode.doorbellBufferConfig, prp1, prp2: prp1 + 4096 };
    expect((await driver.submit(driver.admin, config)).status).toBe(Status.invalidOpcode);
  });
});

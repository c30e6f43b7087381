import type { HostBuffer } from '@sidecard/core';
import { AdminOpcode, MappedDoorbells } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { createDoorbellPage } from '../src/queues/doorbell-page.ts';
import { Status } from '../src/status.ts';
import { machine, pattern, started, ways } from './machine.ts';

describe.each(ways)('a mapped page, %s memory', (way) => {
  async function mapped() {
    let page: HostBuffer | null = null;
    const made = machine(way, {
      doorbellPage: (native) => {
        const created = createDoorbellPage(native);
        page = created.memory;
        return created;
      },
    });
    await made.driver.enable();
    made.driver.doorbells = new MappedDoorbells(page!, 0);
    made.driver.admin.doorbells = made.driver.doorbells;
    return { ...made, page: page! as HostBuffer };
  }

  test('is offered, and is all that a driver needs', async () => {
    const { driver, client } = await mapped();
    const { areas } = client.regionInfo(0);
    expect(areas).toEqual([{ offset: 0x1000, sizeBytes: 0x1000 }]);
    const before = driver.trapped.count;
    const queue = await driver.createQueues(1);
    for (let lba = 0; lba < 200; lba++) {
      await driver.write(queue, 1, lba, pattern(512, lba), { blockBytes: 512 });
      expect(await driver.read(queue, 1, lba, 512, { blockBytes: 512 })).toEqual(pattern(512, lba));
    }
    expect(driver.trapped.count).toBe(before);
  });

  test('takes messages as well', async () => {
    const { driver } = await mapped();
    driver.doorbells = driver.trapped;
    const queue = await driver.createQueues(1);
    await driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
  });

  test('a full completion queue goes on when the page says so', async () => {
    const { driver, settle, ram } = await mapped();
    const queue = await driver.createQueues(1, { entries: 4 });
    const prp1 = ram.allocate(4096);
    for (let round = 0; round < 10; round++) {
      for (let index = 0; index < 3; index++) queue.push({ opcode: 2, nsid: 1, prp1 });
      queue.ring();
      settle();
      expect(queue.reap()).toBe(3);
    }
  });

  test('is cleared by a reset', async () => {
    const { driver, page } = await mapped();
    await driver.createQueues(1);
    driver.registers.cc.value = 0;
    expect(page.words.every((word) => word === 0)).toBe(true);
  });

  test('nonsense in it is an event, once', async () => {
    const { driver, page, settle, controller } = await mapped();
    await driver.createQueues(1);
    for (const nonsense of [-1, 64, 0x7fff_ffff]) {
      page.words[2] = nonsense;
      settle(20);
    }
    expect(controller.errors.count).toBe(3);
    page.words[2] = 0;
    settle();
    expect(controller.errors.count).toBe(3);
  });
});

describe('Doorbell Buffer Config', () => {
  test('is not there with a mapped page, which nobody asks EventIdx about', async () => {
    const { driver } = machine('mapped', { doorbellPage: createDoorbellPage });
    await driver.enable();
    expect((await driver.identifyController()).oacs & (1 << 8)).toBe(0);
    const effects = new DataView((await driver.logPage(5, 4096)).buffer);
    expect(effects.getUint32(4 * AdminOpcode.doorbellBufferConfig, true)).toBe(0);
    const prp1 = driver.ram.allocate(8192);
    const config = { opcode: AdminOpcode.doorbellBufferConfig, prp1, prp2: prp1 + 4096 };
    expect((await driver.submit(driver.admin, config)).status).toBe(Status.invalidOpcode);
  });

  test('buffers that go away and come back: what was written meanwhile is seen', async () => {
    const { driver, client, ram, controller, settle } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    for (let lba = 0; lba < 3; lba++) await driver.read(queue, 1, lba, 512, { blockBytes: 512 });
    const prp1 = ram.allocate(4096);
    client.unmapRam(ram);
    settle();
    expect(controller.turns.arm()).toBe(true);
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1 });
    settle();
    expect(queue.poll(cid)).toBeNull();
    expect(driver.registers.csts.value).toBe(1);
    client.mapRam(ram);
    expect((await queue.completion(cid)).status).toBe(0);
  });
});

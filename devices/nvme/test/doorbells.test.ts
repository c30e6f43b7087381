import type { HostBuffer } from '@sidecard/core';
import { MappedDoorbells } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { createDoorbellPage } from '../src/queues/doorbell-page.ts';
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
});

describe('Doorbell Buffer Config', () => {
  test('what was written before EventIdx was set is seen by the second look', async () => {
    const { driver, controller, settle } = await started('mapped');
    const shadow = await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    settle();
    controller.turns.arm();
    settle();
    const prp1 = driver.ram.allocate(4096);
    queue.submit({ opcode: 2, nsid: 1, prp1 });
    settle();
    queue.reap();
    // Its EventIdx is behind, so this one does not ring.
    const before = shadow.trapped.count;
    queue.submit({ opcode: 2, nsid: 1, prp1 });
    expect(shadow.trapped.count).toBe(before);
    expect(controller.turns.arm()).toBe(false);
    settle();
    expect(queue.reap()).toBe(1);
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

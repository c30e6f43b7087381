import { AdminOpcode, NvmOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { pattern, started } from './machine.ts';

describe('Doorbell Buffer Config', () => {
  test('trapped writes only where EventIdx asks, and nothing is lost', async () => {
    const { driver, settle, controller } = await started('mapped');
    const shadow = await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    const before = shadow.trapped.count;
    // Awake all the time: it looks by itself.
    for (let lba = 0; lba < 100; lba++) {
      await driver.write(queue, 1, lba, pattern(512, lba), { blockBytes: 512 });
      expect(await driver.read(queue, 1, lba, 512, { blockBytes: 512 })).toEqual(pattern(512, lba));
    }
    expect(shadow.trapped.count - before).toBeLessThan(20);
    // About to sleep: the next one rings.
    while (!controller.turns.arm()) await settle();
    const asleep = shadow.trapped.count;
    queue.submit({ opcode: 2, nsid: 1, prp1: driver.ram.allocate(4096) });
    expect(shadow.trapped.count).toBe(asleep + 1);
    await settle();
    expect(queue.reap()).toBe(1);
  });

  test('a trapped write counts of a driver that does not write its shadow', async () => {
    const { driver, queue } = await started('mapped');
    await driver.useShadowDoorbells();
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    await driver.read(queue, 1, 1, 512, { blockBytes: 512 });
  });

  test('a trapped write that is older than the shadow changes nothing', async () => {
    const { driver, controller, settle } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    const prp1 = driver.ram.allocate(4096);
    for (let index = 0; index < 3; index++) queue.submit({ opcode: 2, nsid: 1, prp1 });
    await settle();
    expect(queue.reap()).toBe(3);
    driver.trapped.tail(2, 1);
    await settle();
    expect(queue.reap()).toBe(0);
    expect(controller.inFlight).toBe(0);
  });

  test('queues that there were before use it as well, as Linux does', async () => {
    const { driver, queue, settle } = await started('mapped');
    for (let lba = 0; lba < 10; lba++) await driver.read(queue, 1, lba, 512, { blockBytes: 512 });
    // Linux has not used them by then; a driver that has writes where they are.
    const shadow = await driver.useShadowDoorbells();
    queue.doorbells = shadow;
    for (let lba = 0; lba < 100; lba++) {
      expect(await driver.read(queue, 1, lba, 512, { blockBytes: 512 })).toHaveLength(512);
    }
    await settle();
    expect(queue.strays).toEqual([]);
  });

  test('a trapped value that cannot be right is an event, shadow or not', async () => {
    const { driver, controller, settle } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    for (const nonsense of [0xffff_ffff, 64]) {
      driver.trapped.tail(2, nonsense);
      driver.trapped.head(2, nonsense);
      await settle();
    }
    expect(controller.errors.count).toBe(4);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
  });

  test('a pair that waits for room for two has the device asked for the next head', async () => {
    const { driver, controller, settle } = await started('mapped', { interrupts: 'msix' });
    const shadow = await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2, { entries: 4 });
    const block = { nsid: 1, prp1: driver.ram.allocate(4096), cdw12: 0 };
    // Past the EventIdx that there was at first.
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    for (let count = 0; count < 2; count++) queue.submit({ ...block, opcode: NvmOpcode.read });
    await settle();
    // Fetched, and not consumed: there is room for one.
    queue.sqHead = 3;
    const pair = [
      queue.push({ ...block, opcode: NvmOpcode.compare, flags: 1 }),
      queue.push({ ...block, opcode: NvmOpcode.write, flags: 2 }),
    ];
    queue.ring();
    while (!controller.turns.arm()) await settle();
    const asleep = shadow.trapped.count;
    expect(queue.reap()).toBe(2);
    expect(shadow.trapped.count).toBe(asleep + 1);
    for (const cid of pair) expect((await queue.completion(cid)).status).toBe(0);
  });

  test.each(['asleep', 'awake'])(
    'a queue where another was before, whose shadow is as its first entry will have it: %s',
    async (how) => {
      const { driver, controller, settle } = await started('mapped', { interrupts: 'msix' });
      await driver.useShadowDoorbells();
      for (let round = 0; round < 3; round++) {
        const queue = await driver.createQueues(2, { entries: 4 });
        if (how === 'asleep') while (!controller.turns.arm()) await settle();
        // One entry: the shadow stays at 1.
        const cid = queue.submit({ opcode: NvmOpcode.flush, nsid: 1 });
        await settle();
        while (!controller.turns.arm()) await settle();
        expect(queue.poll(cid)).toMatchObject({ status: 0 });
        await driver.deleteQueues(2);
      }
    },
  );

  test('nonsense in a shadow is an event, once, and does not keep the device awake', async () => {
    const { driver, ram, controller, settle } = await started('mapped');
    const shadow = ram.allocate(4096);
    const prp2 = ram.allocate(4096);
    await driver.adminCommand({ opcode: AdminOpcode.doorbellBufferConfig, prp1: shadow, prp2 });
    for (const nonsense of [0xffff_ffff, 64, 0x8000_0000]) {
      ram.store(shadow + 8, new Uint8Array(new Uint32Array([nonsense]).buffer));
      await settle();
    }
    expect(controller.errors.count).toBe(3);
    expect(controller.turns.arm()).toBe(true);
  });

  test('what a queue of before has left in its shadow is no news to the next', async () => {
    const { driver, controller, settle } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    for (let lba = 0; lba < 5; lba++) await driver.read(queue, 1, lba, 512, { blockBytes: 512 });
    await driver.deleteQueues(2);
    const again = await driver.createQueues(2);
    await settle();
    expect(controller.queues.submission[2]!.tail).toBe(0);
    expect(controller.errors.count).toBe(0);
    for (let lba = 0; lba < 200; lba++) await driver.read(again, 1, lba, 512, { blockBytes: 512 });
  });

  test('configured a second time: a trapped write counts until the new shadow is written', async () => {
    const { driver, ram, settle } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    for (let lba = 0; lba < 3; lba++) await driver.read(queue, 1, lba, 512, { blockBytes: 512 });
    const prp1 = ram.allocate(4096);
    await driver.adminCommand({ opcode: AdminOpcode.doorbellBufferConfig, prp1, prp2: ram.allocate(4096) });
    queue.doorbells = driver.trapped;
    for (let lba = 0; lba < 100; lba++) await driver.read(queue, 1, lba, 512, { blockBytes: 512 });
    await settle();
  });

  test('the access of a trapped doorbell is answered before guest memory is looked at', async () => {
    const { driver, controller } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    let looks = 0;
    const { memory } = controller.host;
    const peek = memory.peekWord.bind(memory);
    memory.peekWord = (iova) => {
      looks++;
      return peek(iova);
    };
    const { registers } = controller.doorbells;
    registers!.write(16, Uint8Array.of(1, 0, 0, 0), 0, 4);
    registers!.write(20, Uint8Array.of(1, 0, 0, 0), 0, 4);
    expect(looks).toBe(0);
  });

  test('completion queues of two entries, on and on', async () => {
    const { driver, controller, settle, ram } = await started('mapped');
    await driver.useShadowDoorbells();
    const queue = await driver.createQueues(2, { entries: 2 });
    const prp1 = ram.allocate(4096);
    for (let count = 0; count < 50; count++) {
      const cid = queue.submit({ opcode: 2, nsid: 1, prp1 });
      if (count % 3 === 0) while (!controller.turns.arm()) await settle();
      expect((await queue.completion(cid)).status).toBe(0);
      if (count % 5 === 0) while (!controller.turns.arm()) await settle();
    }
  });

  test('the buffers are forgotten by a reset', async () => {
    const { driver, ram, controller, settle } = await started('mapped');
    const buffers = [ram.allocate(4096), ram.allocate(4096)] as const;
    const [prp1, prp2] = buffers;
    await driver.adminCommand({ opcode: AdminOpcode.doorbellBufferConfig, prp1, prp2 });
    await driver.enable();
    // The guest has other uses for them now.
    const others = new Uint8Array(4096).fill(0xa5);
    for (const buffer of buffers) ram.store(buffer, others);
    const queue = await driver.createQueues(2);
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    while (!controller.turns.arm()) await settle();
    await settle();
    expect(buffers.map((buffer) => ram.load(buffer, 4096))).toEqual([others, others]);
    expect(controller.errors.count).toBe(0);
  });

  test('refused: unaligned, not there, or while looking would take messages', async () => {
    const { driver, ram } = await started('mapped');
    const prp1 = ram.allocate(4096);
    const config = { opcode: AdminOpcode.doorbellBufferConfig, prp1, prp2: prp1 + 4096 };
    const statusOf = async (more: object) => (await driver.submit(driver.admin, { ...config, ...more })).status;
    expect(await statusOf({ prp1: prp1 + 8 })).toBe(Status.invalidField);
    expect(await statusOf({ prp2: prp1 + 8 })).toBe(Status.invalidField);
    expect(await statusOf({ prp1: 0xdead_0000 })).toBe(Status.invalidField);
    expect(await statusOf({ prp2: ram.iova + ram.sizeBytes })).toBe(Status.invalidField);
    const other = await started('messages');
    expect((await other.driver.submit(other.driver.admin, { ...config, prp1: 0 })).status).toBe(Status.invalidOpcode);
  });
});

import { type PciFunctionHandle, until } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { pattern, started, ways } from './machine.ts';

describe.each(ways)('interrupts, %s memory', (way) => {
  test.each(['intx', 'msi', 'msix'] as const)('by %s', async (interrupts) => {
    const { driver, queue } = await started(way, { interrupts });
    const second = await driver.createQueues(2);
    for (let lba = 0; lba < 20; lba++) {
      await driver.write(queue, 1, lba, pattern(512, lba), { blockBytes: 512 });
      expect(await driver.read(second, 1, lba, 512, { blockBytes: 512 })).toEqual(pattern(512, lba));
    }
  });

  test('each queue has its vector, and many completions are few interrupts', async () => {
    const { driver, drive, settle, ram } = await started(way, { interrupts: 'msix', vectors: 3 });
    const queue = await driver.createQueues(2);
    drive.stalled = true;
    const prp1 = ram.allocate(4096);
    for (let index = 0; index < 30; index++) queue.push({ opcode: 2, nsid: 1, prp1 });
    queue.ring();
    await settle();
    driver.vectors[0]!.take();
    expect(driver.vectors[2]!.take()).toBe(0);
    drive.stalled = false;
    await settle();
    expect(driver.vectors[0]!.take()).toBe(0);
    expect(driver.vectors[1]!.take()).toBe(0);
    expect(driver.vectors[2]!.take()).toBeGreaterThan(0);
    expect(queue.reap()).toBe(30);
  });

  test('a queue without interrupts (IEN 0) sends none', async () => {
    const { driver } = await started(way, { interrupts: 'msix', vectors: 2 });
    const queue = await driver.createQueues(2, { vector: null });
    driver.vectors[1]!.take();
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    expect(driver.vectors[1]!.take()).toBe(0);
  });

  test('the pin is level: down when the queues are empty, and masked by INTMS', async () => {
    const { driver, controller, queue, settle, ram } = await started(way, { interrupts: 'intx' });
    await settle();
    expect(controller.interruptLevel()).toBe(false);
    const pin = driver.vectors[0]!;
    pin.serve();
    driver.registers.intms = 1;
    expect(driver.registers.intmc).toBe(1);
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    expect([controller.interruptLevel(), pin.take()]).toEqual([false, 0]);
    driver.registers.intmc = 1;
    await settle();
    expect([controller.interruptLevel(), pin.serve()]).toEqual([true, true]);
    expect(queue.poll(cid)).toMatchObject({ status: 0 });
    await settle();
    expect(controller.interruptLevel()).toBe(false);
  });

  test('a vector of MSI that INTMS masks is told after INTMC', async () => {
    const { driver, queue, settle, ram } = await started(way, { interrupts: 'msi', vectors: 2 });
    driver.registers.intms = 2;
    driver.vectors[1]!.take();
    queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    expect(driver.vectors[1]!.take()).toBe(0);
    driver.registers.intmc = 2;
    await settle();
    expect(driver.vectors[1]!.take()).toBe(1);
  });

  test('MSI-X masked as a whole: what came meanwhile is pending, and told after', async () => {
    const { driver, queue, handle, settle, ram } = await started(way, { interrupts: 'msix', vectors: 2 });
    await settle();
    driver.vectors[1]!.take();
    handle.setFunctionMask(true);
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    expect([driver.vectors[1]!.take(), pendingOf(handle)]).toEqual([0, 2]);
    handle.setFunctionMask(false);
    await settle();
    expect(pendingOf(handle)).toBe(0);
    expect((await queue.completion(cid)).status).toBe(0);
  });

  test('MSI-X masked as a whole, and a driver that polls: what it has consumed is pending no more, and no interrupt tells of it', async () => {
    const { driver, handle, settle, ram } = await started(way, { interrupts: 'msix', vectors: 3 });
    const [one, two] = [await driver.createQueues(2, { vector: 2 }), await driver.createQueues(3, { vector: 2 })];
    await settle();
    for (const vector of driver.vectors) vector.take();
    handle.setFunctionMask(true);
    const read = { opcode: 2, nsid: 1, prp1: ram.allocate(4096) };
    for (const queue of [one, two]) queue.submit(read);
    await settle();
    expect(pendingOf(handle)).toBe(4);
    expect(one.reap()).toBe(1);
    await settle();
    expect(pendingOf(handle)).toBe(4);
    expect(two.reap()).toBe(1);
    await settle();
    expect(pendingOf(handle)).toBe(0);
    handle.setFunctionMask(false);
    await settle();
    expect(driver.vectors[2]!.take()).toBe(0);
    one.submit(read);
    await settle();
    expect(driver.vectors[2]!.take()).toBe(1);
  });

  test('what is pending for queues that are deleted, or go with CC.EN, tells nobody', async () => {
    const { driver, handle, queue, settle, ram } = await started(way, { interrupts: 'msix', vectors: 3 });
    const second = await driver.createQueues(2, { vector: 2 });
    await settle();
    handle.setFunctionMask(true);
    const read = { opcode: 2, nsid: 1, prp1: ram.allocate(4096) };
    for (const each of [queue, second]) each.submit(read);
    await settle();
    expect(pendingOf(handle) & 6).toBe(6);
    // Delete I/O Submission Queue, then the completion queue.
    for (const opcode of [0x00, 0x04]) {
      driver.admin.submit({ opcode, cdw10: 2 });
      await settle();
      expect(driver.admin.reap()).toBe(1);
    }
    expect(pendingOf(handle) & 6).toBe(2);
    driver.registers.cc.en = 0;
    await until(handle.port, () => driver.registers.csts.rdy === 0, 'RDY to fall');
    expect(pendingOf(handle)).toBe(0);
    handle.setFunctionMask(false);
    await settle();
    expect(driver.vectors.map((vector) => vector.take())).toEqual([0, 0, 0]);
  });

  test('MSI with fewer vectors than queues: only those that are enabled can be chosen', async () => {
    const { driver } = await started(way, { interrupts: 'msi', vectors: 2 });
    const prp1 = driver.ram.allocate(4096);
    const create = { opcode: 5, prp1, cdw10: (15 << 16) | 5 };
    expect((await driver.submit(driver.admin, { ...create, cdw11: (2 << 16) | 3 })).status).toBe(0x108);
    expect((await driver.submit(driver.admin, { ...create, cdw11: (1 << 16) | 3 })).status).toBe(0);
    const fourth = await driver.createQueues(4);
    await driver.read(fourth, 1, 0, 512, { blockBytes: 512 });
  });

  test('the pin is never asserted before the entry that it tells of is there', async () => {
    const { driver, controller, queue, handle, settle, ram } = await started(way, { interrupts: 'intx' });
    await settle();
    const prp1 = ram.allocate(4096);
    for (let count = 0; count < 30; count++) {
      queue.submit({ opcode: 2, nsid: 1, prp1 });
      await until(handle.port, () => controller.interruptLevel(), 'the pin to be asserted');
      expect(queue.reap()).toBeGreaterThan(0);
    }
    expect(driver.registers.csts.value).toBe(1);
  });
});

/** The PBA's first byte: a bit for each of the first vectors. */
function pendingOf(handle: PciFunctionHandle): number {
  const bytes = new Uint8Array(1);
  handle.bar(0).read(0x3000, bytes, 0, 1);
  return bytes[0]!;
}

test('by the pin, with shadow doorbells: what is consumed is asked for as a trapped write, at which the client takes the line back', async () => {
  const { driver, controller, settle } = await started('mapped', { interrupts: 'intx' });
  await driver.useShadowDoorbells();
  const queue = await driver.createQueues(2);
  await settle();
  driver.vectors[0]!.serve();
  for (let lba = 0; lba < 40; lba++) {
    const cid = queue.submit({ opcode: 2, nsid: 1, cdw10: lba, prp1: driver.ram.allocate(4096) });
    await settle();
    const before = driver.trapped.count;
    expect(driver.vectors[0]!.serve()).toBe(true);
    expect(queue.poll(cid)).toMatchObject({ status: 0 });
    expect(driver.trapped.count - before).toBe(1);
    await settle();
    // Not even a spurious one: the trapped head counts before the line is looked at again.
    expect([controller.interruptLevel(), driver.vectors[0]!.take()]).toEqual([false, 0]);
  }
});

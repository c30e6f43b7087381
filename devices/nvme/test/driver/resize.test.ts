import { AdminOpcode, attachNamespace, type NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { TestDrive } from '../test-drive.ts';
import { pattern, started, ways } from './machine.ts';

const mib = 1 << 20;

/** The Changed Namespace List, log page 04h. */
async function changed(driver: NvmeDriver): Promise<number[]> {
  const page = await driver.logPage(4, 4096);
  return [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter((nsid) => nsid !== 0);
}

/** Get Log Page of log page 04h with Retain Asynchronous Event. */
async function retained(driver: NvmeDriver): Promise<number> {
  const prp1 = driver.ram.allocate(4096);
  await driver.adminCommand({ opcode: AdminOpcode.getLogPage, prp1, cdw10: 4 | (1 << 15) | (1023 << 16) });
  return new DataView(driver.ram.load(prp1, 4).buffer).getUint32(0, true);
}

describe.each(ways)('a drive of another size (SIGHUP), %s memory', (way) => {
  test('grown: NSZE grows, and the new blocks are there', async () => {
    const { driver, queue, drive, controller } = await started(way);
    drive.resize(2 * mib);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(2048);
    await expect(driver.read(queue, 1, 2048, 512, { blockBytes: 512 })).rejects.toThrow('0h/80h');
    controller.reload();
    expect(await driver.identifyNamespace(1)).toMatchObject({ sizeBlocks: 4096, capacityBlocks: 4096 });
    const data = pattern(4096);
    await driver.write(queue, 1, 4088, data, { blockBytes: 512 });
    expect(await driver.read(queue, 1, 4088, 4096, { blockBytes: 512 })).toEqual(data);
  });

  test('cut: commands beyond its end are out of range', async () => {
    const { driver, queue, drive, controller } = await started(way);
    const data = pattern(512);
    await driver.write(queue, 1, 7, data, { blockBytes: 512 });
    drive.resize(8 * 512 + 100);
    controller.reload();
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(8);
    expect(await driver.read(queue, 1, 7, 512, { blockBytes: 512 })).toEqual(data);
    await expect(driver.read(queue, 1, 8, 512, { blockBytes: 512 })).rejects.toThrow('0h/80h');
    await expect(driver.write(queue, 1, 7, pattern(1024), { blockBytes: 512 })).rejects.toThrow('0h/80h');
  });

  test('Namespace Attribute Changed: the namespaces are in log page 04h until it has been read', async () => {
    const drives = [1, 2, 3].map((seed) => new TestDrive(mib, { seed }));
    const { driver, controller, settle } = await started(way, { drives });
    await driver.setFeature(0x0b, 1 << 8);
    const cids = [0, 1].map(() => driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest }));
    controller.reload();
    await settle();
    expect(driver.admin.poll(cids[0]!)).toBeNull();
    drives[2]!.resize(2 * mib);
    drives[0]!.resize(3 * mib);
    controller.reload();
    expect((await driver.admin.completion(cids[0]!)).dw0).toBe((4 << 16) | 2);
    // Retained it is read as often as one likes, and no event comes.
    expect([await retained(driver), await retained(driver)]).toEqual([1, 1]);
    expect(await changed(driver)).toEqual([1, 3]);
    expect(await changed(driver)).toEqual([]);
    await settle();
    expect(driver.admin.poll(cids[1]!)).toBeNull();
    drives[1]!.resize(2 * mib);
    controller.reload();
    expect((await driver.admin.completion(cids[1]!)).dw0).toBe((4 << 16) | 2);
    expect(await changed(driver)).toEqual([2]);
  });

  test("a namespace that is not attached is nobody's to hear of", async () => {
    const drives = [1, 2].map((seed) => new TestDrive(mib, { seed }));
    const { driver, controller } = await started(way, { drives });
    await attachNamespace(driver, 2, 'detach');
    expect(await changed(driver)).toEqual([2]);
    for (const drive of drives) drive.resize(2 * mib);
    controller.reload();
    expect(await changed(driver)).toEqual([1]);
  });

  test('no event for who has not asked for it; the log has it all the same', async () => {
    const { driver, drive, controller, settle } = await started(way);
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    drive.resize(2 * mib);
    controller.reload();
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
    expect(await changed(driver)).toEqual([1]);
  });
});

test('more than 1,024 namespaces: the list says only that there are', async () => {
  const drives = Array.from({ length: 1030 }, (_, seed) => new TestDrive(512, { seed }));
  const { driver, controller } = await started('mapped', { drives });
  for (const drive of drives) drive.resize(1024);
  controller.reload();
  expect(await changed(driver)).toEqual([0xffff_ffff]);
  for (const drive of drives.slice(6)) drive.resize(512);
  controller.reload();
  expect(await changed(driver)).toHaveLength(1024);
});

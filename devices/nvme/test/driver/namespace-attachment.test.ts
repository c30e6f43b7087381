import { AdminOpcode, attachNamespace, createNamespace, type NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { TestDrive } from '../test-drive.ts';
import { testPool } from '../test-pool.ts';
import { pattern, started, ways } from './machine.ts';

const all = 0xffff_ffff;
const drives = () => [1, 2].map((seed) => new TestDrive(1 << 20, { seed }));

async function active(driver: NvmeDriver): Promise<number[]> {
  const bytes = await driver.identify(0x02, 0);
  return [...new Uint32Array(bytes.buffer, bytes.byteOffset, 1024)].filter((nsid) => nsid !== 0);
}

/** The controllers of a list. */
function controllers(page: Uint8Array): number[] {
  const view = new DataView(page.buffer, page.byteOffset);
  return Array.from({ length: view.getUint16(0, true) }, (_, index) => view.getUint16(2 + 2 * index, true));
}

describe.each(ways)('Namespace Attachment, %s memory', (way) => {
  test('detach and attach, also of a drive of the command line', async () => {
    const { driver, queue } = await started(way, { drives: drives() });
    const data = pattern(512);
    await driver.write(queue, 2, 7, data, { blockBytes: 512 });
    expect((await attachNamespace(driver, 2, 'detach')).status).toBe(Status.success);
    expect(await active(driver)).toEqual([1]);
    expect((await driver.identifyNamespace(2)).sizeBlocks).toBe(0);
    await expect(driver.read(queue, 2, 7, 512, { blockBytes: 512 })).rejects.toThrow('0h/2h');
    await expect(driver.getFeature(5, 2)).rejects.toThrow();
    // It lasts over a reset (5.22).
    await driver.enable();
    expect(await active(driver)).toEqual([1]);
    expect((await attachNamespace(driver, 2, 'attach')).status).toBe(Status.success);
    expect(await active(driver)).toEqual([1, 2]);
    const again = await driver.createQueues(1);
    expect(await driver.read(again, 2, 7, 512, { blockBytes: 512 })).toEqual(data);
  });

  test('CNS 12h and CNS 13h: controllers of a namespace, and of the subsystem', async () => {
    const { driver } = await started(way, { drives: drives() });
    await attachNamespace(driver, 2, 'detach');
    expect(controllers(await driver.identify(0x12, 1))).toEqual([0]);
    expect(controllers(await driver.identify(0x12, 2))).toEqual([]);
    expect(controllers(await driver.identify(0x13, 0))).toEqual([0]);
    // From CNTID on.
    for (const cns of [0x12, 0x13]) {
      expect(controllers(await driver.identify(cns, 1, { cdw10: cns | (1 << 16) }))).toEqual([]);
    }
    await expect(driver.identify(0x12, 3)).rejects.toThrow('0h/2h');
    await expect(driver.identify(0x12, all)).rejects.toThrow('0h/bh');
  });

  test('statuses: attached already, not attached, wrong controllers, wrong fields', async () => {
    const { driver } = await started(way, { drives: drives() });
    expect((await attachNamespace(driver, 1, 'attach')).status).toBe(Status.alreadyAttached);
    await attachNamespace(driver, 1, 'detach');
    expect((await attachNamespace(driver, 1, 'detach')).status).toBe(Status.notAttached);
    for (const wrong of [[], [1], [0, 0], [0, 1], [0xffff], new Array(2047).fill(0)]) {
      expect((await attachNamespace(driver, 1, 'attach', wrong)).status).toBe(Status.controllerListInvalid);
    }
    expect((await attachNamespace(driver, 3, 'attach')).status).toBe(Status.invalidField);
    for (const nsid of [0, 17, all]) {
      expect((await attachNamespace(driver, nsid, 'attach')).status).toBe(Status.invalidNamespace);
    }
    const attach = { opcode: AdminOpcode.namespaceAttachment, nsid: 1, prp1: driver.ram.allocate(4096) };
    expect((await driver.submit(driver.admin, { ...attach, cdw10: 2 })).status).toBe(Status.invalidField);
    expect((await driver.submit(driver.admin, { ...attach, prp1: 0xdead_0000 })).status).toBe(Status.dataTransferError);
    const log = new DataView((await driver.logPage(1, 64 * 8)).buffer);
    // The last two, and before them the nsids: SEL is at byte 40, NSID at 4.
    const places = [0, 1, 2, 3, 4, 5].map((entry) => log.getUint16(64 * entry + 14, true));
    expect(places).toEqual([0xffff, 40, 4, 4, 4, 4]);
    expect(await active(driver)).toEqual([2]);
  });

  test('detach: what is under way ends first, what comes meanwhile finds no namespace', async () => {
    const { driver, queue, drive, settle } = await started(way);
    drive.stalled = true;
    const read = { opcode: 2, nsid: 1, prp1: driver.ram.allocate(4096) };
    const busy = queue.submit(read);
    await settle();
    const prp1 = driver.ram.allocate(4096);
    driver.ram.store(prp1, Uint8Array.of(1));
    const detached = driver.admin.submit({ opcode: AdminOpcode.namespaceAttachment, nsid: 1, cdw10: 1, prp1 });
    await expect.poll(() => active(driver)).toEqual([]);
    expect((await driver.submit(queue, read)).status).toBe(Status.invalidField);
    expect(driver.admin.poll(detached)).toBeNull();
    drive.stalled = false;
    expect((await queue.completion(busy)).status).toBe(Status.success);
    expect((await driver.admin.completion(detached)).status).toBe(Status.success);
  });

  test('the guest hears of it, if it wants to: Namespace Attribute Changed', async () => {
    const { driver, settle } = await started(way, { drives: drives() });
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    await attachNamespace(driver, 2, 'detach');
    await settle();
    expect(driver.admin.poll(cid)).toBeNull();
    await driver.setFeature(0x0b, 1 << 8);
    await attachNamespace(driver, 2, 'attach');
    expect((await driver.admin.completion(cid)).dw0).toBe((4 << 16) | 2);
    expect([...new Uint32Array((await driver.logPage(4, 4096)).buffer)].filter(Boolean)).toEqual([2]);
  });

  test('of the pool: kept by its table', async () => {
    const pool = testPool();
    const { driver } = await started(way, { drives: [], controller: { pool: pool.pool } });
    for (let count = 0; count < 2; count++) await createNamespace(driver, { nsze: 8 });
    await attachNamespace(driver, 1, 'attach');
    await attachNamespace(driver, 2, 'attach');
    await attachNamespace(driver, 1, 'detach');
    const next = await started(way, { drives: [], controller: { pool: pool.again().pool } });
    expect(await active(next.driver)).toEqual([2]);
  });
});

import { setImmediate } from 'node:timers/promises';
import {
  AdminOpcode,
  attachNamespace,
  createNamespace,
  deleteNamespace,
  formatNamespace,
  type NvmeDriver,
  until,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { TestDrive } from '../test-drive.ts';
import { type TestPool, TestPoolFolder, testPool } from '../test-pool.ts';
import { type Machine, pattern, started, type Way, ways } from './machine.ts';

const mib = 1 << 20;
const all = 0xffff_ffff;

/** A machine that has nothing but a pool of 16 MiB. */
async function pooled(way: Way, options = 'size=16M', drives: TestDrive[] = []): Promise<Machine & { pool: TestPool }> {
  const pool = testPool(options);
  pool.folder.slow = way === 'messages';
  return { ...(await started(way, { drives, controller: { pool: pool.pool } })), pool };
}

async function list(driver: NvmeDriver, cns: number, after = 0): Promise<number[]> {
  const bytes = await driver.identify(cns, after);
  return [...new Uint32Array(bytes.buffer, bytes.byteOffset, 1024)].filter((nsid) => nsid !== 0);
}

/** TNVMCAP and UNVMCAP. */
async function capacity(driver: NvmeDriver): Promise<[bigint, bigint]> {
  const { raw } = await driver.identifyController();
  const view = new DataView(raw.buffer, raw.byteOffset);
  return [view.getBigUint64(280, true), view.getBigUint64(296, true)];
}

describe.each(ways)('Namespace Management, %s memory', (way) => {
  test('create: the nsid is in dword 0; attached, it is a disk as any other', async () => {
    const { driver, pool } = await pooled(way);
    const queue = driver.queues.get(1)!;
    expect(await createNamespace(driver, { nsze: 2048 })).toMatchObject({ status: Status.success, dw0: 1 });
    expect(await createNamespace(driver, { nsze: 256, flbas: 1 })).toMatchObject({ status: Status.success, dw0: 2 });
    // Neither is attached to a controller.
    expect(await list(driver, 0x02)).toEqual([]);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(0);
    await attachNamespace(driver, 2, 'attach');
    expect(await driver.identifyNamespace(2)).toMatchObject({ sizeBlocks: 256, capacityBlocks: 256, blockBytes: 4096 });
    const data = pattern(8192);
    await driver.write(queue, 2, 254, data, { blockBytes: 4096 });
    expect(await driver.read(queue, 2, 254, 8192, { blockBytes: 4096 })).toEqual(data);
    await expect(driver.read(queue, 2, 255, 8192, { blockBytes: 4096 })).rejects.toThrow('0h/80h');
    expect(pool.drive.bytes.subarray(254 * 4096)).toEqual(data);
  });

  test('TNVMCAP, UNVMCAP and NVMCAP; the drives count as allocated', async () => {
    const { driver } = await pooled(way, 'size=16M', [new TestDrive(4 * mib)]);
    expect(await capacity(driver)).toEqual([BigInt(20 * mib), BigInt(16 * mib)]);
    expect((await createNamespace(driver, { nsze: 4096 })).dw0).toBe(2);
    expect(await capacity(driver)).toEqual([BigInt(20 * mib), BigInt(14 * mib)]);
    const raw = await driver.identify(0x11, 2);
    expect(new DataView(raw.buffer).getBigUint64(48, true)).toBe(BigInt(2 * mib));
    await deleteNamespace(driver, 2);
    expect(await capacity(driver)).toEqual([BigInt(20 * mib), BigInt(16 * mib)]);
  });

  test('CNS 10h, CNS 11h, CNS 1Ah and CNS 1Bh: namespaces whether attached or not', async () => {
    const { driver } = await pooled(way, 'size=16M', [new TestDrive(mib)]);
    for (let count = 0; count < 3; count++) await createNamespace(driver, { nsze: 8 });
    await attachNamespace(driver, 3, 'attach');
    expect(await list(driver, 0x02)).toEqual([1, 3]);
    for (const cns of [0x10, 0x1a]) {
      expect(await list(driver, cns)).toEqual([1, 2, 3, 4]);
      expect(await list(driver, cns, 2)).toEqual([3, 4]);
      await expect(driver.identify(cns, all)).rejects.toThrow('0h/bh');
    }
    expect(new DataView((await driver.identify(0x11, 2)).buffer).getUint32(0, true)).toBe(8);
    // Inactive, or not allocated: all zeroes for the second.
    expect((await driver.identify(0x11, 5)).every((byte) => byte === 0)).toBe(true);
    for (const nsid of [0, 17, all]) await expect(driver.identify(0x11, nsid)).rejects.toThrow('0h/bh');
    expect((await driver.identify(0x1b, 2)).every((byte) => byte === 0)).toBe(true);
    expect((await driver.identify(0x1b, 5)).every((byte) => byte === 0)).toBe(true);
    for (const cns of [0x1a, 0x1b]) {
      await expect(driver.identify(cns, 1, { cdw11: 2 << 24 })).rejects.toThrow('0h/2h');
    }
  });

  test('identifiers are random, and no other namespace has them again', async () => {
    const { driver } = await pooled(way);
    const seen = new Set<string>();
    for (let count = 0; count < 4; count++) {
      const { dw0 } = await createNamespace(driver, { nsze: 8 });
      const raw = await driver.identify(0x11, dw0);
      for (const id of [raw.subarray(104, 120), raw.subarray(120, 128)]) seen.add(Buffer.from(id).toString('hex'));
      await attachNamespace(driver, dw0, 'attach');
      const uuid = (await driver.identify(3, dw0)).subarray(36, 52);
      seen.add(Buffer.from(uuid).toString('hex'));
      await deleteNamespace(driver, dw0);
    }
    expect(seen.size).toBe(12);
  });

  test.each([
    ['NSZE of no block', { nsze: 0 }, Status.invalidField],
    ['NCAP above NSZE', { nsze: 8, ncap: 9 }, Status.invalidField],
    ['NCAP below NSZE', { nsze: 8, ncap: 7 }, Status.thinProvisioningUnsupported],
    ['FLBAS that is not listed', { nsze: 8, flbas: 2 }, Status.invalidFormat],
    ['FLBAS with bits 6:5', { nsze: 8, flbas: 1 << 5 }, Status.invalidFormat],
    ['FLBAS with metadata', { nsze: 8, flbas: 1 << 4 }, Status.invalidFormat],
    ['DPS', { nsze: 8, dps: 1 }, Status.invalidFormat],
    ['NMIC: shared', { nsze: 8, nmic: 1 }, Status.invalidField],
    ['ANAGRPID', { nsze: 8, anagrpid: 1 }, Status.anaGroupInvalid],
    ['NVMSETID', { nsze: 8, nvmsetid: 1 }, Status.invalidField],
    ['ENDGID', { nsze: 8, endgid: 1 }, Status.invalidField],
    ['LBSTM', { nsze: 8, lbstm: 1 }, Status.invalidField],
    ['more than there is', { nsze: 32769 }, Status.insufficientCapacity],
    ['more than can be', { nsze: 2 ** 63 }, Status.insufficientCapacity],
  ])('create, wrong: %s', async (_what, fields, status) => {
    const { driver } = await pooled(way);
    expect(await createNamespace(driver, fields)).toMatchObject({ status, doNotRetry: true });
    expect(await list(driver, 0x10)).toEqual([]);
  });

  test('create, wrong: fields of the command, and where the error log says they are', async () => {
    const { driver } = await pooled(way);
    expect((await createNamespace(driver, { nsze: 8 }, { nsid: 1 })).status).toBe(Status.invalidField);
    expect((await createNamespace(driver, { nsze: 8 }, { csi: 2 })).status).toBe(Status.commandSetUnsupported);
    const manage = { opcode: AdminOpcode.namespaceManagement, prp1: driver.ram.allocate(4096) };
    expect((await driver.submit(driver.admin, { ...manage, cdw10: 2 })).status).toBe(Status.invalidField);
    expect((await driver.submit(driver.admin, { ...manage, prp1: 0xdead_0000 })).status).toBe(Status.dataTransferError);
    const log = new DataView((await driver.logPage(1, 256)).buffer);
    // NSID, CSI, SEL; newest first, and the transfer is no field's.
    expect([0, 64, 128, 192].map((entry) => log.getUint16(entry + 14, true))).toEqual([0xffff, 40, 47, 4]);
  });

  test('create without room: the error log says how much it would take', async () => {
    const { driver } = await pooled(way);
    expect((await createNamespace(driver, { nsze: 5000, flbas: 1 })).status).toBe(Status.insufficientCapacity);
    const log = new DataView((await driver.logPage(1, 64)).buffer);
    expect(log.getBigUint64(32, true)).toBe(BigInt(5000 * 4096));
  });

  test('as many as there can be, and no more', { timeout: 60_000 }, async () => {
    const { driver } = await pooled(way, 'size=16M,sparse');
    const { namespaces } = await driver.identifyController();
    for (let nsid = 1; nsid <= namespaces; nsid++) expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(nsid);
    expect((await createNamespace(driver, { nsze: 8 })).status).toBe(Status.namespaceIdentifierUnavailable);
    await deleteNamespace(driver, 5);
    expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(5);
  });

  test('without a pool there is no room', async () => {
    const { driver } = await started(way);
    expect(await capacity(driver)).toEqual([BigInt(mib), 0n]);
    expect((await createNamespace(driver, { nsze: 8 })).status).toBe(Status.insufficientCapacity);
  });

  test('delete: what is under way ends first, what comes meanwhile finds no namespace', async () => {
    const { driver, pool, settle } = await pooled(way);
    const queue = driver.queues.get(1)!;
    await createNamespace(driver, { nsze: 64 });
    await attachNamespace(driver, 1, 'attach');
    pool.drive.stalled = true;
    const read = { opcode: 2, nsid: 1, prp1: driver.ram.allocate(4096) };
    const busy = queue.submit(read);
    await settle();
    const deleted = driver.admin.submit({ opcode: AdminOpcode.namespaceManagement, nsid: 1, cdw10: 1 });
    // Its intent takes the disk's time.
    await expect.poll(() => list(driver, 0x02)).toEqual([]);
    expect((await driver.submit(queue, read)).status).toBe(Status.invalidField);
    expect(driver.admin.poll(deleted)).toBeNull();
    pool.drive.stalled = false;
    expect((await queue.completion(busy)).status).toBe(Status.success);
    expect((await driver.admin.completion(deleted)).status).toBe(Status.success);
    expect(await list(driver, 0x10)).toEqual([]);
    expect(pool.drive.closed).toBe(true);
  });

  test('delete FFFFFFFFh: all of them, also when there are none', async () => {
    const { driver } = await pooled(way);
    expect((await deleteNamespace(driver, all)).status).toBe(Status.success);
    for (let count = 0; count < 3; count++) await createNamespace(driver, { nsze: 8 });
    await attachNamespace(driver, 2, 'attach');
    expect((await deleteNamespace(driver, all)).status).toBe(Status.success);
    expect(await list(driver, 0x10)).toEqual([]);
    expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(1);
  });

  test('delete and format at once: one of them comes first', async () => {
    const { driver, log, pass } = await pooled(way);
    const outcomes = new Set<string>();
    for (let patience = 0; patience < 4; patience++) {
      await createNamespace(driver, { nsze: 8 });
      const deleted = driver.admin.submit({ opcode: AdminOpcode.namespaceManagement, nsid: 1, cdw10: 1 });
      for (let waited = 0; waited < patience; waited++) {
        pass(5);
        await setImmediate();
      }
      const formatted = driver.admin.submit({ opcode: AdminOpcode.formatNvm, nsid: 1 });
      const statuses = [await driver.admin.completion(deleted), await driver.admin.completion(formatted)];
      outcomes.add(statuses.map(({ status }) => status).join());
      await deleteNamespace(driver, all);
    }
    outcomes.delete([Status.formatInProgress, Status.success].join());
    expect([...outcomes]).toEqual([[Status.success, Status.invalidField].join()]);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('delete, wrong', async () => {
    const { driver } = await pooled(way, 'size=16M', [new TestDrive(mib)]);
    await createNamespace(driver, { nsze: 8 });
    expect((await deleteNamespace(driver, 0)).status).toBe(Status.invalidNamespace);
    expect((await deleteNamespace(driver, 17)).status).toBe(Status.invalidNamespace);
    expect((await deleteNamespace(driver, 3)).status).toBe(Status.invalidField);
    // A drive of the command line is not the guest's to delete: neither it, nor all.
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.operationDenied);
    expect((await deleteNamespace(driver, all)).status).toBe(Status.operationDenied);
    expect(await list(driver, 0x10)).toEqual([1, 2]);
  });

  test('what a deleted namespace had is not the next one with its nsid', async () => {
    const { driver } = await pooled(way);
    const queue = driver.queues.get(1)!;
    await createNamespace(driver, { nsze: 64 });
    await attachNamespace(driver, 1, 'attach');
    await driver.setFeature(5, 7, 1);
    await driver.write(queue, 1, 0, pattern(4096), { blockBytes: 512 });
    await deleteNamespace(driver, 1);
    await createNamespace(driver, { nsze: 64 });
    expect(await list(driver, 0x02)).toEqual([]);
    await attachNamespace(driver, 1, 'attach');
    expect(await driver.getFeature(5, 1)).toBe(0);
    expect((await driver.read(queue, 1, 0, 4096, { blockBytes: 512 })).every((byte) => byte === 0)).toBe(true);
  });

  test('a reset takes the command back, and its effect comes all the same', async () => {
    const { driver, handle, pool } = await pooled(way);
    const { folder } = pool;
    const prp1 = driver.ram.allocate(4096);
    driver.ram.store(prp1, Uint8Array.of(64, 0, 0, 0, 0, 0, 0, 0, 64));
    const drive = new TestDrive(64 * 512);
    drive.stalled = true;
    folder.next = drive;
    driver.admin.submit({ opcode: AdminOpcode.namespaceManagement, prp1 });
    await until(handle.port, () => drive.seen.length > 0, 'the namespace to get its room');
    await driver.enable();
    expect(await list(driver, 0x10)).toEqual([]);
    drive.stalled = false;
    await expect.poll(() => list(driver, 0x10)).toEqual([1]);
    expect(driver.admin.strays).toEqual([]);
    let goOn: (() => void) | null = null;
    folder.remove = async (file) => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      await TestPoolFolder.prototype.remove.call(folder, file);
    };
    driver.admin.submit({ opcode: AdminOpcode.namespaceManagement, nsid: 1, cdw10: 1 });
    await until(handle.port, () => goOn !== null, 'the file to be removed');
    await driver.enable();
    goOn!();
    await expect.poll(() => list(driver, 0x10)).toEqual([]);
    await expect.poll(() => drive.closed).toBe(true);
    expect(driver.admin.strays).toEqual([]);
  });

  test('what has not begun when a reset comes is not done: nobody would hear of it, and no driver that resets piles up work', async () => {
    const { driver, handle, pool, settle } = await pooled(way);
    const prp1 = driver.ram.allocate(4096);
    driver.ram.store(prp1, Uint8Array.of(64, 0, 0, 0, 0, 0, 0, 0, 64));
    const drive = new TestDrive(64 * 512);
    drive.stalled = true;
    pool.folder.next = drive;
    for (let count = 0; count < 5; count++) driver.admin.push({ opcode: AdminOpcode.namespaceManagement, prp1 });
    driver.admin.ring();
    await until(handle.port, () => drive.seen.length > 0, 'the first namespace to get its room');
    await settle();
    await driver.enable();
    drive.stalled = false;
    // One after the other: this comes behind them all.
    expect((await createNamespace(driver, { nsze: 8 })).dw0).toBe(2);
    expect(await list(driver, 0x10)).toEqual([1, 2]);
  });

  test('the log of effects: Linux looks at the namespaces again by itself', async () => {
    const { driver } = await pooled(way);
    const effects = new DataView((await driver.logPage(5, 4096)).buffer);
    const of = (opcode: number) => effects.getUint32(4 * opcode, true) & 0xf_ffff;
    expect(of(AdminOpcode.namespaceManagement)).toBe(0b1001); // supported, NIC
    expect(of(AdminOpcode.namespaceAttachment)).toBe(0b1001);
    expect(of(AdminOpcode.formatNvm)).toBe((0b010 << 16) | 0b0111); // CSE: no other command; NCC, LBCC
  });

  test('a format under way is in the way', async () => {
    const { driver, pool } = await pooled(way);
    await createNamespace(driver, { nsze: 64 });
    pool.drive.stalled = true;
    const format = formatNamespace(driver, 1, 0);
    await expect.poll(async () => (await driver.identify(0x11, 1))[32]! & 0x7f).toBe(100);
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.formatInProgress);
    expect((await deleteNamespace(driver, all)).status).toBe(Status.formatInProgress);
    pool.drive.stalled = false;
    expect((await format).status).toBe(Status.success);
    expect((await deleteNamespace(driver, 1)).status).toBe(Status.success);
  });
});

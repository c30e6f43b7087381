import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { machine, started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

describe.each(ways)('Identify, %s memory', (way) => {
  test('CNS 01h: the controller', async () => {
    const { driver } = await started(way);
    const controller = await driver.identifyController();
    expect(controller).toMatchObject({
      model: 'Sidecard NVMe Controller',
      maxTransferBytes: 1 << 20,
      version: 0x0002_0000,
      // Format NVM and Namespace Management; Doorbell Buffer Config only while the guest's memory is mapped.
      oacs: way === 'mapped' ? 0b1_0000_1010 : 0b1010,
      oncs: 0b101_1101,
      namespaces: 16,
      volatileWriteCache: true,
    });
    expect(controller.serial).toMatch(/^[0-9A-F]{20}$/);
    expect(controller.subsystemName).toMatch(/^nqn\.2014-08\.org\.nvmexpress:uuid:[0-9a-f-]{36}$/);
    const view = new DataView(controller.raw.buffer, controller.raw.byteOffset);
    expect([view.getUint8(111), view.getUint8(512), view.getUint8(513), view.getUint8(261)]).toEqual([
      1, 0x66, 0x44, 0x26,
    ]);
    // AWUN, AWUPF and ACWU: one block; KAS, SGLS: none.
    expect([526, 528, 532, 320].map((offset) => view.getUint16(offset, true))).toEqual([0, 0, 0, 0]);
  });

  test('CNS 00h: a namespace', async () => {
    const { driver } = await started(way, { drives: [new TestDrive((1 << 20) + 100)], lbaBytes: 4096 });
    const namespace = await driver.identifyNamespace(1);
    expect(namespace).toMatchObject({ sizeBlocks: 256, capacityBlocks: 256, blockBytes: 4096 });
    expect(namespace.raw[33]).toBe(0b1001);
    // A valid one that is not active is all zeroes.
    expect((await driver.identifyNamespace(2)).raw.every((byte) => byte === 0)).toBe(true);
    await expect(driver.identifyNamespace(17)).rejects.toThrow('0h/bh');
    await expect(driver.identifyNamespace(0)).rejects.toThrow('0h/bh');
  });

  test('CNS 00h: LBA formats, and what is common to all namespaces (nsid FFFFFFFFh)', async () => {
    const { driver } = await started(way, { lbaBytes: 4096 });
    // NLBAF, FLBAS; LBADS and RP of each.
    const formats = ({ raw }: { raw: Uint8Array }) => [raw[25], raw[26], raw[130], raw[131], raw[134], raw[135]];
    expect(formats(await driver.identifyNamespace(1))).toEqual([1, 1, 9, 1, 12, 0]);
    const common = await driver.identifyNamespace(0xffff_ffff);
    expect(formats(common)).toEqual([1, 0, 9, 1, 12, 0]);
    expect([common.sizeBlocks, common.raw[32]]).toEqual([0, 1 << 7]);
    expect((await driver.identify(5, 0xffff_ffff)).every((byte) => byte === 0)).toBe(true);
  });

  test('CNS 02h and CNS 07h: lists of namespaces', async () => {
    const drives = [1, 2, 3].map((seed) => new TestDrive(1 << 16, { seed }));
    const { driver } = await started(way, { drives });
    const list = async (cns: number, after: number) => {
      const bytes = await driver.identify(cns, after);
      return [...new Uint32Array(bytes.buffer, bytes.byteOffset, 1024)].filter((nsid) => nsid !== 0);
    };
    expect(await list(2, 0)).toEqual([1, 2, 3]);
    expect(await list(7, 1)).toEqual([2, 3]);
    expect(await list(2, 3)).toEqual([]);
    await expect(driver.identify(2, 0xffff_fffe)).rejects.toThrow('0h/bh');
  });

  test('CNS 03h, descriptors: EUI-64, NGUID, UUID and command set', async () => {
    const { driver } = await started(way);
    const bytes = await driver.identify(3, 1);
    const found: number[][] = [];
    for (let offset = 0; bytes[offset] !== 0; offset += 4 + bytes[offset + 1]!) {
      found.push([bytes[offset]!, bytes[offset + 1]!]);
    }
    expect(found).toEqual([
      [1, 8],
      [2, 16],
      [3, 16],
      [4, 1],
    ]);
    const { raw } = await driver.identifyNamespace(1);
    expect(bytes.subarray(4, 12)).toEqual(raw.subarray(120, 128));
    expect(bytes.subarray(16, 32)).toEqual(raw.subarray(104, 120));
  });

  test('CNS 05h, CNS 06h, CNS 08h and CNS 1Ch: the NVM command set, and no other', async () => {
    const { driver } = await started(way);
    for (const [cns, nsid] of [
      [5, 1],
      [6, 0],
    ] as const) {
      expect((await driver.identify(cns, nsid)).every((byte) => byte === 0)).toBe(true);
      await expect(driver.identify(cns, nsid, { cdw11: 2 << 24 })).rejects.toThrow('0h/2h');
    }
    expect((await driver.identify(8, 1))[14]).toBe(1);
    expect((await driver.identify(0x1c))[0]).toBe(1);
    for (const cns of [0x04, 0x14, 0x19, 0x1d, 0xff]) await expect(driver.identify(cns, 1)).rejects.toThrow('0h/2h');
  });

  test('to memory that is not there', async () => {
    const { driver } = await started(way);
    const identify = { opcode: AdminOpcode.identify, cdw10: 1, prp1: 0xdead_0000 };
    expect((await driver.submit(driver.admin, identify)).status).toBe(Status.dataTransferError);
  });
});

test('identity comes from the drive: the same again, and others for another drive', async () => {
  const names = async (seed: number) => {
    const { driver } = machine('mapped', { drives: [new TestDrive(1 << 20, { seed })] });
    await driver.enable();
    const { serial, subsystemName } = await driver.identifyController();
    const { raw } = await driver.identifyNamespace(1);
    return [
      serial,
      subsystemName,
      Buffer.from(raw.subarray(104, 120)).toString('hex'),
      Buffer.from(raw.subarray(120, 128)).toString('hex'),
    ];
  };
  const first = await names(1);
  expect(await names(1)).toEqual(first);
  (await names(2)).forEach((name, index) => {
    expect(name).not.toBe(first[index]);
  });
});

test('a serial number that was given', async () => {
  const { driver } = machine('mapped', { controller: { serial: 'MY-DISK-1' } });
  await driver.enable();
  expect((await driver.identifyController()).serial).toBe('MY-DISK-1');
});

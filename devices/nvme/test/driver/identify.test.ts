import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { TestDrive } from '../test-drive.ts';
import { machine, started, ways } from './machine.ts';

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
      oncs: 0b1_1101_1111,
      namespaces: 16,
      volatileWriteCache: true,
    });
    expect(controller.serial).toMatch(/^[0-9A-F]{20}$/);
    expect(controller.subsystemName).toMatch(/^nqn\.2014-08\.org\.nvmexpress:uuid:[0-9a-f-]{36}$/);
  });

  test('CNS 01h: limits, attributes and what there is not', async () => {
    const { driver } = await started(way);
    const { raw } = await driver.identifyController();
    const view = new DataView(raw.buffer, raw.byteOffset);
    const value = { 1: (at: number) => view.getUint8(at), 2: (at: number) => view.getUint16(at, true) };
    const fields = (size: 1 | 2, places: Record<string, number>) =>
      Object.fromEntries(Object.entries(places).map(([name, at]) => [name, value[size](at)]));
    expect(
      fields(1, { rab: 72, cntrltype: 111, acl: 258, aerl: 259, frmw: 260, lpa: 261, elpe: 262, npss: 263 }),
    ).toEqual({
      rab: 5,
      cntrltype: 1,
      acl: 3,
      aerl: 3,
      frmw: 0b11, // one slot, read-only
      lpa: 0b10_0110,
      elpe: 63,
      npss: 0, // one power state
    });
    expect(fields(1, { sqes: 512, cqes: 513, vwc: 525 })).toEqual({ sqes: 0x66, cqes: 0x44, vwc: 0b111 });
    expect(fields(2, { wctemp: 266, cctemp: 268, maxcmd: 514, maxPower: 2048 })).toEqual({
      wctemp: 343,
      cctemp: 353,
      maxcmd: 4096,
      maxPower: 2500, // 25 W
    });
    // RTD3R and RTD3E, us; CTRATT: host identifiers of 128 bits; OAES: namespaces that have changed.
    expect([84, 88, 96, 92].map((at) => view.getUint32(at, true))).toEqual([127_500_000, 60_000_000, 1, 1 << 8]);
    // IEEE OUI, CMIC, CNTLID; FGUID, CRDT; NVMSR, VWCI, MEC.
    for (const [from, to] of [
      [73, 77],
      [78, 80],
      [112, 134],
      [253, 256],
    ] as const) {
      expect(raw.subarray(from, to).every((byte) => byte === 0)).toBe(true);
    }
    // AVSCC, APSTA; MTFA, HMPRE, HMMIN; RPMBS to KAS; HCTMA to SANICAP, and domains, ANA and endurance groups behind it.
    for (const [from, to] of [
      [264, 266],
      [270, 280],
      [312, 512],
    ] as const) {
      expect(raw.subarray(from, to).every((byte) => byte === 0)).toBe(true);
    }
    // AWUN, AWUPF, NVSCC, NWPC, ACWU: one block, and nothing of the others.
    expect(raw.subarray(526, 534).every((byte) => byte === 0)).toBe(true);
  });

  test('CNS 00h: a namespace', async () => {
    const { driver } = await started(way, { drives: [new TestDrive((1 << 20) + 100)], lbaBytes: 4096 });
    const namespace = await driver.identifyNamespace(1);
    expect(namespace).toMatchObject({ sizeBlocks: 256, capacityBlocks: 256, blockBytes: 4096 });
    expect(namespace.raw[33]).toBe(0b1001);
    // A valid one that is not active is all zeroes.
    expect((await driver.identifyNamespace(2)).raw.every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    ['00h', 0x00, 'zeroes', 'common'],
    ['03h', 0x03, 'refused', 'refused'],
    ['05h', 0x05, 'zeroes', 'common'],
    ['08h', 0x08, 'zeroes', 'refused'],
    ['11h', 0x11, 'zeroes', 'refused'],
    ['12h', 0x12, 'refused', 'refused'],
    ['1Bh', 0x1b, 'zeroes', 'refused'],
  ])('CNS %s of a namespace that is not there: valid (2), invalid, FFFFFFFFh', async (_name, cns, valid, all) => {
    const { driver } = await started(way);
    const wrong = (nsid: number) => mistakeOf(driver, driver.admin, { opcode: AdminOpcode.identify, cdw10: cns, nsid });
    if (valid === 'zeroes') expect((await driver.identify(cns, 2)).every((byte) => byte === 0)).toBe(true);
    else expect(await wrong(2)).toEqual([Status.invalidField, Field.nsid, 0]);
    for (const nsid of [0, 17, 0xffff_fffe])
      expect(await wrong(nsid)).toEqual([Status.invalidNamespace, Field.nsid, 0]);
    if (all === 'common') await driver.identify(cns, 0xffff_ffff);
    else expect(await wrong(0xffff_ffff)).toEqual([Status.invalidNamespace, Field.nsid, 0]);
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
    for (const cdw10 of [0x02, 0x07, 0x10, 0x1a]) {
      for (const nsid of [0xffff_fffe, 0xffff_ffff]) {
        const wrong = await mistakeOf(driver, driver.admin, { opcode: AdminOpcode.identify, cdw10, nsid });
        expect(wrong).toEqual([Status.invalidNamespace, Field.nsid, 0]);
      }
    }
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

  test('CNS 05h and CNS 06h: the NVM command set has nothing to add', async () => {
    const { driver } = await started(way);
    // No metadata; and VSL, WZSL, WUSL, DMRL, DMRSL, DMSL: no limits besides MDTS.
    expect((await driver.identify(5, 1)).every((byte) => byte === 0)).toBe(true);
    expect((await driver.identify(6)).every((byte) => byte === 0)).toBe(true);
  });

  test('CNS 08h: ready', async () => {
    const { driver } = await started(way);
    expect((await driver.identify(8, 1))[14]).toBe(1);
  });

  test('CNS 1Ch: one combination of command sets, of this controller (CNTID)', async () => {
    const { driver } = await started(way);
    for (const id of [0, 0xffff]) {
      const sets = await driver.identify(0x1c, 0, { cdw10: ((id << 16) | 0x1c) >>> 0 });
      expect(sets[0]).toBe(1);
      expect(sets.subarray(1).every((byte) => byte === 0)).toBe(true);
    }
    const other = { opcode: AdminOpcode.identify, cdw10: (1 << 16) | 0x1c };
    expect(await mistakeOf(driver, driver.admin, other)).toEqual([Status.invalidField, Field.cdw10 + 2, 0]);
  });

  test('of another command set (CSI), where one is asked for', async () => {
    const { driver } = await started(way);
    for (const cdw10 of [0x05, 0x06, 0x07, 0x0a, 0x1a, 0x1b]) {
      const zoned = { opcode: AdminOpcode.identify, cdw10, nsid: 1, cdw11: 2 << 24 };
      expect(await mistakeOf(driver, driver.admin, zoned)).toEqual([Status.invalidField, Field.cdw11 + 3, 0]);
    }
    await driver.identify(1, 0, { cdw11: 2 << 24 });
  });

  test('structures that there are not', async () => {
    const { driver } = await started(way);
    const there = [0, 1, 2, 3, 5, 6, 7, 8, 9, 0x0a, 0x10, 0x11, 0x12, 0x13, 0x1a, 0x1b, 0x1c];
    for (let cdw10 = 0; cdw10 < 256; cdw10++) {
      if (there.includes(cdw10)) continue;
      const wrong = await mistakeOf(driver, driver.admin, { opcode: AdminOpcode.identify, cdw10, nsid: 1 });
      expect(wrong).toEqual([Status.invalidField, Field.cdw10, 0]);
    }
  });

  test('CNS 09h and CNS 0Ah: what a namespace of an LBA format would be, by its index', async () => {
    const { driver } = await started(way);
    const any = await driver.identify(0, 0xffff_ffff);
    for (const [index, preferredBlocks] of [8, 1].entries()) {
      const page = await driver.identify(9, 0, { cdw11: index });
      const view = new DataView(page.buffer, page.byteOffset, 4096);
      expect(page[26]).toBe(index); // FLBAS
      expect(view.getUint16(64, true)).toBe(preferredBlocks - 1); // NPWG
      // The list of formats is the same, and nothing is of one namespace: no size, no identity.
      expect(page.subarray(128, 384)).toEqual(any.subarray(128, 384));
      expect(page.subarray(0, 24).every((byte) => byte === 0)).toBe(true);
      expect(page.subarray(104, 128).every((byte) => byte === 0)).toBe(true);
      expect((await driver.identify(0x0a, 0, { cdw11: index })).every((byte) => byte === 0)).toBe(true);
    }
    for (const cdw10 of [9, 0x0a]) {
      const wrong = await mistakeOf(driver, driver.admin, { opcode: AdminOpcode.identify, cdw10, cdw11: 2 });
      expect(wrong).toEqual([Status.invalidField, Field.cdw11, 0]);
    }
  });

  test('to memory that is not there', async () => {
    const { driver } = await started(way);
    const identify = { opcode: AdminOpcode.identify, cdw10: 1, prp1: 0xdead_0000 };
    expect((await driver.submit(driver.admin, identify)).status).toBe(Status.dataTransferError);
  });
});

test('identity comes from the drive: the same again, and others for another drive', async () => {
  const names = async (seed: number) => {
    const { driver } = await machine('mapped', { drives: [new TestDrive(1 << 20, { seed })] });
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
  const { driver } = await machine('mapped', { controller: { serial: 'MY-DISK-1' } });
  await driver.enable();
  expect((await driver.identifyController()).serial).toBe('MY-DISK-1');
});

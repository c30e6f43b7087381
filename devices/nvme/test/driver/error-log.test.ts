import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

const blocks = { blockBytes: 512 };
const nowhere = 0xffff;
const cidOf = 10;

/** The entries of the error information log (log page 01h), as they come. */
async function errors({ driver }: Pick<Machine, 'driver'>, count = 64) {
  const page = new DataView((await driver.logPage(1, count * 64)).buffer);
  return Array.from({ length: count }, (_, index) => {
    const at = index * 64;
    const status = page.getUint16(at + 12, true) >>> 1;
    const location = page.getUint16(at + 14, true);
    return {
      count: Number(page.getBigUint64(at, true)),
      sqid: page.getUint16(at + 8, true),
      status: status & 0x7ff,
      doNotRetry: (status & 0x4000) !== 0,
      location: location === nowhere ? null : [location & 0xff, location >>> 8],
      lba: Number(page.getBigUint64(at + 16, true)),
      nsid: page.getUint32(at + 24, true),
    };
  });
}

describe.each(ways)('log page 01h, error information, %s memory', (way) => {
  test('newest first, with the place of a mistake; a drive’s trouble is in no field', async () => {
    const made = await started(way);
    const { driver, queue, drive } = made;
    drive.fail = () => 5; // EIO
    await expect(driver.read(queue, 1, 5, 512, blocks)).rejects.toThrow('2h/81h');
    await expect(driver.write(queue, 1, 6, pattern(512), blocks)).rejects.toThrow('2h/80h');
    await expect(driver.read(queue, 1, 2 ** 33, 512, blocks)).rejects.toThrow('0h/80h');
    await expect(driver.setFeature(1, 0, 17)).rejects.toThrow('0h/bh');
    const common = { sqid: 1, nsid: 1 };
    expect(await errors(made, 5)).toEqual([
      {
        count: 4,
        sqid: 0,
        status: Status.invalidNamespace,
        doNotRetry: true,
        location: [Field.nsid, 0],
        lba: 0,
        nsid: 17,
      },
      { ...common, count: 3, status: Status.lbaOutOfRange, doNotRetry: true, location: [Field.cdw10, 0], lba: 2 ** 33 },
      { ...common, count: 2, status: Status.writeFault, doNotRetry: false, location: null, lba: 6 },
      { ...common, count: 1, status: Status.unrecoveredRead, doNotRetry: false, location: null, lba: 5 },
      { count: 0, sqid: 0, status: 0, doNotRetry: false, location: [0, 0], lba: 0, nsid: 0 },
    ]);
  });

  test('a completion with an entry has More, and names the same command', async () => {
    const { driver, queue } = await started(way);
    const wrong = await driver.submit(queue, { opcode: 2, nsid: 1, cdw10: 1 << 30 });
    expect(wrong).toMatchObject({ more: true, doNotRetry: true });
    const page = new DataView((await driver.logPage(1, 64)).buffer);
    expect(page.getUint16(cidOf, true)).toBe(wrong.cid);
    // What is no error has none.
    const { status, more } = await driver.submit(driver.admin, { opcode: 8, cdw10: 999 << 16 });
    expect([status, more]).toEqual([Status.success, false]);
  });

  test('an error that is no command’s: a doorbell', async () => {
    const made = await started(way);
    made.driver.trapped.tail(9, 1);
    await made.settle();
    const [entry] = await errors(made, 1);
    expect(entry).toMatchObject({ count: 1, sqid: nowhere, location: null, lba: 0, nsid: 0 });
  });

  test('64 entries are kept, and counted on; a controller reset keeps them', async () => {
    const made = await started(way);
    for (let count = 0; count < 70; count++) await expect(made.driver.setFeature(0xff, 0)).rejects.toThrow('0h/2h');
    const counts = (await errors(made)).map(({ count }) => count);
    expect(counts).toEqual(Array.from({ length: 64 }, (_, age) => 70 - age));
    await made.driver.enable();
    expect((await errors(made)).map(({ count }) => count)).toEqual(counts);
    // ELPE says how many there can be.
    expect((await made.driver.identifyController()).raw[262]).toBe(63);
  });
});

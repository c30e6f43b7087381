import { NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { TestDrive } from '../test-drive.ts';
import { type Machine, pattern, started, ways } from './machine.ts';

const blocks = { blockBytes: 512 };

/** Counters of 16 bytes in the SMART / health log (log page 02h), by where they are. */
const Counter = {
  dataUnitsRead: 32,
  dataUnitsWritten: 48,
  readCommands: 64,
  writeCommands: 80,
  busyMinutes: 96,
  powerCycles: 112,
  powerOnHours: 128,
  unsafeShutdowns: 144,
  mediaErrors: 160,
  errorLogEntries: 176,
} as const;

async function smart({ driver }: Pick<Machine, 'driver'>) {
  const page = new DataView((await driver.logPage(2, 512)).buffer);
  const count = (at: keyof typeof Counter) => {
    expect(page.getBigUint64(Counter[at] + 8, true)).toBe(0n);
    return Number(page.getBigUint64(Counter[at], true));
  };
  return { page, count, warning: page.getUint8(0) };
}

describe.each(ways)('log page 02h, SMART / health, %s memory', (way) => {
  test('a drive that is well', async () => {
    const { page, warning, count } = await smart(await started(way));
    expect(warning).toBe(0);
    expect(page.getUint16(1, true)).toBe(311); // composite temperature, kelvin
    expect([3, 4, 5, 6].map((offset) => page.getUint8(offset))).toEqual([100, 10, 0, 0]); // spare, its threshold, used
    const counters = Object.keys(Counter) as (keyof typeof Counter)[];
    expect(counters.filter((name) => count(name) !== 0)).toEqual(['powerCycles']);
    // Times above thresholds, sensors, thermal management: none.
    for (let offset = 192; offset < 512; offset += 4) expect(page.getUint32(offset, true)).toBe(0);
  });

  test('data in thousands of 512 bytes, rounded up, and commands', async () => {
    const made = await started(way);
    const { driver, queue } = made;
    await driver.write(queue, 1, 0, pattern(4096), blocks);
    await driver.read(queue, 1, 0, 512, blocks);
    expect((await smart(made)).count('dataUnitsRead')).toBe(1);
    await driver.read(queue, 1, 0, 1 << 19, blocks);
    await driver.compare(queue, 1, 0, pattern(4096), blocks);
    await driver.writeZeroes(queue, 1, 0, 1 << 19, blocks); // no data that is written
    const { count } = await smart(made);
    expect([count('dataUnitsRead'), count('dataUnitsWritten')]).toEqual([2, 1]);
    expect([count('readCommands'), count('writeCommands')]).toEqual([3, 1]);
  });

  test('power-on hours, and the life of the controller', async () => {
    const made = await started(way);
    made.slot.clock.advance(3 * 3_600_000 + 1000);
    const before = await smart(made);
    expect(before.count('powerOnHours')).toBe(3);
    await made.driver.enable();
    expect((await smart(made)).count('powerOnHours')).toBe(3);
    const driver = new NvmeDriver(await made.slot.reset());
    await driver.enable();
    const { count } = await smart({ driver });
    expect([count('powerOnHours'), count('powerCycles')]).toEqual([3, before.count('powerCycles') + 1]);
  });

  test('unsafe shutdowns: a reset of the machine that no shutdown came before', async () => {
    const { slot, ...made } = await started(way);
    let { driver } = made;
    const restart = async () => {
      driver = new NvmeDriver(await slot.reset());
      await driver.enable();
      return (await smart({ driver })).count('unsafeShutdowns');
    };
    expect(await restart()).toBe(1);
    await driver.shutdown();
    expect(await restart()).toBe(1);
    await driver.enable();
    expect((await smart({ driver })).count('unsafeShutdowns')).toBe(1);
  });

  test('errors of the media, and how many entries the error log ever had', async () => {
    const made = await started(way);
    const { driver, queue, drive } = made;
    drive.fail = () => 5; // EIO
    await expect(driver.read(queue, 1, 0, 512, blocks)).rejects.toThrow('2h/81h');
    await expect(driver.write(queue, 1, 0, pattern(512), blocks)).rejects.toThrow('2h/80h');
    drive.fail = () => 28; // ENOSPC is none
    await expect(driver.write(queue, 1, 0, pattern(512), blocks)).rejects.toThrow('0h/81h');
    await expect(driver.read(queue, 1, 1 << 30, 512, blocks)).rejects.toThrow('0h/80h');
    const { count } = await smart(made);
    expect([count('mediaErrors'), count('errorLogEntries')]).toEqual([2, 4]);
  });

  test('critical warning: a flush that failed is lost reliability', async () => {
    const made = await started(way);
    const { driver, queue, drive } = made;
    drive.fail = () => 5;
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    expect((await smart(made)).warning).toBe(1 << 2);
    await driver.enable();
    expect((await smart(made)).warning).toBe(1 << 2);
  });

  test('critical warning: none for a drive that is read-only since somebody wants it so', async () => {
    const made = await started(way, { drives: [new TestDrive(1 << 20, { readOnly: true })] });
    expect((await smart(made)).warning).toBe(0);
    expect((await made.driver.identifyNamespace(1)).raw[99]! & 1).toBe(1);
  });

  test('controller busy time: minutes with commands in I/O queues', async () => {
    const made = await started(way);
    const { driver, drive, queue, settle, slot, ram } = made;
    const minute = 60_000;
    slot.clock.advance(2 * minute);
    expect((await smart(made)).count('busyMinutes')).toBe(0);
    drive.stalled = true;
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    slot.clock.advance(3 * minute + 1000);
    drive.stalled = false;
    await queue.completion(cid);
    await settle();
    slot.clock.advance(5 * minute);
    expect((await smart(made)).count('busyMinutes')).toBe(3);
    // An idle controller has no timer.
    expect(slot.clock.timers).toBe(0);
    // A reset ends it with the command.
    drive.stalled = true;
    queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    driver.registers.cc.value = 0;
    await settle();
    slot.clock.advance(5 * minute);
    drive.stalled = false;
    await driver.enable();
    expect((await smart(made)).count('busyMinutes')).toBe(3);
  });
});

import { writeFileSync } from 'node:fs';
import { formatNamespace, type InProcessServer, until } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { beginFormat, empty, imagedDrive, notes, remaining, to4096 } from './formats.ts';
import { started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

const mib = 1 << 20;

/** Gives a device without a client time until it is so. */
function eventually({ server }: InProcessServer, condition: () => boolean): Promise<void> {
  return until({ turn: () => server.turn() }, condition, 'a device without a client');
}

describe.each(ways)('Format NVM, %s memory', (way) => {
  test('a guest that goes, and the next', async () => {
    const made = await started(way);
    const { drive, client, settle, controller, server } = made;
    await beginFormat(made);
    client.close();
    settle();
    expect(controller.inFlight).toBe(0);
    drive.stalled = false;
    await eventually(server, () => controller.namespaces.allocated(1)!.lbaBytes === 4096);
    expect(empty(drive)).toBe(true);
  });
});

describe('a format lasts', () => {
  test('the LBA format is kept beside the image, and wins over the default', async () => {
    const drive = imagedDrive();
    await formatNamespace((await started('mapped', { drives: [drive] })).driver, 1, to4096);
    expect(notes(drive)).toEqual({ version: 1, lbaBytes: 4096 });
    const lbaBytes = null;
    const { driver } = await started('mapped', { drives: [drive], lbaBytes });
    expect((await driver.identifyNamespace(1)).blockBytes).toBe(4096);
    // What the person says must not be something else, and may be the same.
    await started('mapped', { drives: [drive], lbaBytes: 4096 });
    await expect(started('mapped', { drives: [drive], lbaBytes: 512 })).rejects.toThrow(
      'was formatted to blocks of 4096 bytes, not 512',
    );
  });

  test('a daemon that dies in the middle: the next start goes on', async () => {
    const drive = imagedDrive();
    await beginFormat(await started('mapped', { drives: [drive] }));
    expect(notes(drive)).toEqual({ version: 1, formatting: 4096 });
    // As if the machine had lost its power: what the first daemon has under way never comes.
    const next = Object.assign(new TestDrive(mib), { image: drive.image, stalled: true });
    next.bytes.set(drive.bytes);
    const { driver, queue, log } = await started('mapped', { drives: [next], lbaBytes: null });
    expect(log.lines.some(({ message }) => message === 'a format had not ended, and goes on')).toBe(true);
    expect(await remaining(driver)).toBe(100);
    await expect(driver.read(queue, 1, 0, 512, { blockBytes: 512 })).rejects.toThrow('0h/84h');
    next.stalled = false;
    await expect.poll(() => remaining(driver)).toBe(0);
    expect((await driver.identifyNamespace(1)).blockBytes).toBe(4096);
    expect(empty(next)).toBe(true);
    expect(notes(drive)).toEqual({ version: 1, lbaBytes: 4096 });
  });

  test('SIGTERM leaves it to the next start', async () => {
    const drive = imagedDrive(200 * mib);
    const made = await started('mapped', { drives: [drive] });
    await beginFormat(made);
    const { server } = made;
    const closed = server.close();
    drive.stalled = false;
    await eventually(server, () => drive.closed);
    await closed;
    expect(notes(drive)).toEqual({ version: 1, formatting: 4096 });
    expect(drive.bytes.at(-1)).toBe(7);
    const next = await started('mapped', { drives: [drive], lbaBytes: null });
    await expect.poll(() => remaining(next.driver)).toBe(0);
    expect(empty(drive)).toBe(true);
  });

  test('a drive that is read-only now stays not ready', async () => {
    const drive = imagedDrive();
    writeFileSync(`${drive.image}.nvme.json`, JSON.stringify({ version: 1, formatting: 4096 }));
    const readOnly = Object.assign(new TestDrive(mib, { readOnly: true }), { image: drive.image });
    const { driver, queue } = await started('mapped', { drives: [readOnly] });
    await expect(driver.read(queue, 1, 0, 512, { blockBytes: 512 })).rejects.toThrow('0h/82h');
  });

  test.each([
    ['no JSON', 'is no JSON'],
    ['{}', 'is not of version 1'],
    ['{"version":2}', 'is not of version 1'],
    ['{"version":1,"lbaBytes":1024}', 'lbaBytes is not what it can be'],
    ['{"version":1,"formatting":true}', 'formatting is not what it can be'],
    ['null', 'is not of version 1'],
  ])('notes that cannot be: %s', async (text, reason) => {
    const drive = imagedDrive();
    writeFileSync(`${drive.image}.nvme.json`, text);
    await expect(started('mapped', { drives: [drive] })).rejects.toThrow(`${drive.image}.nvme.json: ${reason}`);
  });
});

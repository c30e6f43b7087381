import { describe, expect, test } from 'vitest';
import { pattern, started, ways } from './machine.ts';
import { placements } from './placements.ts';

describe.each(ways)('Compare, %s memory', (way) => {
  test.each([512, 4096, 100 * 512])('%i bytes that are equal, and that are not', async (sizeBytes) => {
    const { driver, queue, drive } = await started(way);
    const data = pattern(sizeBytes);
    drive.bytes.set(data, 512);
    for (const placement of placements) {
      const options = { blockBytes: 512, ...placement };
      await driver.compare(queue, 1, 1, data, options);
      for (const at of [0, sizeBytes / 2, sizeBytes - 1]) {
        const other = data.slice();
        other[at] = other[at]! ^ 1;
        await expect(driver.compare(queue, 1, 1, other, options)).rejects.toThrow('2h/85h');
      }
    }
    expect(drive.bytes.subarray(512, 512 + sizeBytes)).toEqual(data);
  });

  test('many at once do not mix', async () => {
    const { driver, queue, drive } = await started(way);
    const data = pattern(16 * 4096);
    drive.bytes.set(data);
    const compares = Array.from({ length: 16 }, (_, index) =>
      driver.compare(queue, 1, index * 8, data.subarray(index * 4096, index * 4096 + 4096), { blockBytes: 512 }),
    );
    await Promise.all(compares);
  });

  test('blocks that are not there', async () => {
    const { driver, queue } = await started(way);
    await expect(driver.compare(queue, 1, 2048, pattern(512), { blockBytes: 512 })).rejects.toThrow('0h/80h');
  });
});

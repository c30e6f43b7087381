import { attach, NvmeDriver } from '@sidecard/testing';
import { expect, onTestFinished, test } from 'vitest';
import { startNvme } from '../daemon.ts';
import { sglPlacements } from '../placements.ts';
import { pattern } from './machine.ts';

// A daemon with a real file: O_DIRECT takes whole blocks from aligned memory only: also where that memory is ours (Compare, guest memory behind messages).
test.each([
  ['mapped', 512],
  ['mapped', 4096],
  ['messages', 512],
  ['messages', 4096],
] as const)(
  'cache=none, %s memory, blocks of %i bytes: every size and place',
  { timeout: 60_000 },
  async (memory, blockBytes) => {
    const daemon = await startNvme(['--drive', `file={folder}/disk.img,size=8M,cache=none,lba=${blockBytes}`]);
    onTestFinished(() => daemon.remove());
    const machine = await attach(daemon.socket, { memory: memory === 'mapped' ? 'shared' : 'messages' });
    onTestFinished(() => machine.close());
    const driver = new NvmeDriver(machine.function, { interrupts: 'msix' });
    await driver.enable();
    const queue = await driver.createQueues(1);
    for (const sizeBytes of [blockBytes, 3 * blockBytes, 64 * 1024, 1024 * 1024]) {
      const placements = [{}, { pageOffset: 4 }, { pageOffset: 512 }, { pageOffset: 2044 }, ...sglPlacements];
      for (const [seed, placement] of placements.entries()) {
        const options = { blockBytes, ...placement };
        const data = pattern(sizeBytes, sizeBytes + seed);
        await driver.write(queue, 1, 3, data, options);
        await driver.compare(queue, 1, 3, data, options);
        expect(Buffer.compare(await driver.read(queue, 1, 3, sizeBytes, options), data)).toBe(0);
      }
      // Bit buckets: what is read around them is in its place.
      const data = await driver.read(queue, 1, 3, sizeBytes, { blockBytes });
      for (const dropped of [512, 100, 5001]) {
        const sgl = { parts: [700, { bitBucket: dropped }, 8192], scattered: true, segmentDescriptors: 100 };
        const expected = data.slice();
        for (let at = 700; at < sizeBytes; at += 8892 + dropped) expected.fill(0, at, at + dropped);
        expect(Buffer.compare(await driver.read(queue, 1, 3, sizeBytes, { blockBytes, sgl }), expected)).toBe(0);
      }
    }
    expect(daemon.log).not.toMatch(/"level":[56]0/);
  },
);

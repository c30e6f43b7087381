import { existsSync, readFileSync } from 'node:fs';
import { blockCommand, copyCommand, copySources, type DaemonProcess, NvmOpcode } from '@sidecard/testing';
import { afterEach, expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';
import { pattern } from './machine.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

async function attach(daemon: DaemonProcess, memory: 'mapped' | 'messages'): Promise<Attached> {
  const guest = await Attached.to(daemon, { memory, doorbells: 'trapped', interrupts: 'msix' });
  cleanUp.push(() => guest.close());
  return guest;
}

// Commands that hold a range of a real image, and move data in memory of ours: through the page cache, and past it.
test.each([
  ['writeback', 'mapped', 512],
  ['writeback', 'messages', 4096],
  ['none', 'mapped', 4096],
  ['none', 'messages', 512],
] as const)(
  'cache=%s, %s memory, blocks of %i bytes: Copy, Verify, Compare and Write',
  async (cache, memory, blockBytes) => {
    const daemon = await startNvme(['--drive', `file={folder}/disk.img,size=16M,cache=${cache},lba=${blockBytes}`]);
    cleanUp.push(() => daemon.remove());
    const { driver, queues } = await attach(daemon, memory);
    const [queue, other] = [queues[1]!, queues[0]!];
    const options = { blockBytes };
    const data = pattern(1 << 20);
    await driver.write(queue, 1, 0, data, options);
    await driver.verify(queue, 1, 0, 16 << 20, { ...options, fua: true });
    const count = 101;
    const lba = (4 << 20) / blockBytes + 1;
    await driver.copy(queue, 1, lba, [
      { lba: 3, blocks: count },
      { lba: 1, blocks: 1 },
    ]);
    const expected = [
      data.subarray(3 * blockBytes, (3 + count) * blockBytes),
      data.subarray(blockBytes, 2 * blockBytes),
    ];
    const copied = await driver.read(queue, 1, lba, (count + 1) * blockBytes, options);
    expect(Buffer.compare(copied, Buffer.concat(expected))).toBe(0);
    // A counter in one block, that two queues raise, with writes to its neighbour all the while.
    await driver.writeZeroes(queue, 1, 7, blockBytes, options);
    const raise = async (by: typeof queue) => {
      for (let raised = 0; raised < 20; ) {
        const old = await driver.read(by, 1, 7, blockBytes, options);
        const next = old.slice();
        new DataView(next.buffer).setUint32(0, new DataView(old.buffer).getUint32(0) + 1);
        const [{ status }] = await driver.compareAndWrite(by, 1, 7, old, next, options);
        if (status === 0) raised++;
        await driver.write(by, 1, 8, next, options);
      }
    };
    await Promise.all([raise(queue), raise(other)]);
    const counter = await driver.read(queue, 1, 7, blockBytes, options);
    expect(new DataView(counter.buffer).getUint32(0)).toBe(40);
    expect(daemon.log).not.toMatch(/"level":[56]0/);
  },
);

test('a Copy ends with more writes waiting for its range than a drive has slots', async () => {
  const daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=64M']);
  cleanUp.push(() => daemon.remove());
  const { driver, queues, ram } = await attach(daemon, 'mapped');
  const queue = queues[1]!;
  const data = pattern(1 << 20);
  await driver.write(queue, 1, 0, data, { blockBytes: 512 });
  const sources = [{ lba: 0, blocks: 32_768 }];
  const [list, written] = [ram.allocate(4096), ram.allocate(4096)];
  ram.store(list, copySources(sources));
  queue.push({ ...copyCommand(1, 65_536, sources), prp1: list });
  const write = blockCommand(NvmOpcode.write, 1, 65_536 + 32_767, 512, { blockBytes: 512 });
  while (!queue.full) queue.push({ ...write, prp1: written });
  queue.ring();
  for (let cid = 1; cid <= 255; cid++) expect((await queue.completion(cid)).status).toBe(0);
  const copied = await driver.read(queue, 1, 65_536, 1 << 20, { blockBytes: 512 });
  expect(Buffer.compare(copied, data)).toBe(0);
});

test('what Write Uncorrectable has marked is beside the image, and there after a restart', async () => {
  const daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=8M']);
  cleanUp.push(() => daemon.remove());
  const notes = `${daemon.folder}/disk.img.nvme.json`;
  let { driver, queues } = await attach(daemon, 'mapped');
  const options = { blockBytes: 512 };
  expect(existsSync(notes)).toBe(false);
  await driver.writeUncorrectable(queues[1]!, 1, 8, 4096, options);
  expect(JSON.parse(readFileSync(notes, 'utf8')).uncorrectable).toEqual([[4096, 8192]]);
  expect(await daemon.stop()).toBe(0);
  const again = await startNvme(['--drive', `file=${daemon.folder}/disk.img`]);
  cleanUp.push(() => again.remove());
  ({ driver, queues } = await attach(again, 'messages'));
  await expect(driver.read(queues[1]!, 1, 15, 512, options)).rejects.toThrow('2h/81h');
  await driver.write(queues[1]!, 1, 8, pattern(4096), options);
  await driver.read(queues[1]!, 1, 8, 4096, options);
  expect(JSON.parse(readFileSync(notes, 'utf8')).uncorrectable).toBe(undefined);
});

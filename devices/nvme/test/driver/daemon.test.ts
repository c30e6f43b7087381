import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attach, NvmeDriver } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { startNvme } from '../daemon.ts';
import { pattern } from './machine.ts';

// All else here has the controller in its own process; this is a daemon, as people run it.
test.each(['shared', 'messages'] as const)('a daemon with an image, %s memory', async (memory) => {
  await using daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=16M']);
  await using machine = await attach(daemon.socket, { memory });
  const driver = new NvmeDriver(machine.function, { interrupts: 'msix', vectors: 3 });
  await driver.enable();
  expect(await driver.identifyController()).toMatchObject({ model: 'Sidecard NVMe Controller' });
  const queues = [await driver.createQueues(1), await driver.createQueues(2)];
  const data = pattern(64 * 1024);
  const options = { blockBytes: 512, scattered: true, pageOffset: 512 };
  await Promise.all(queues.map((queue, index) => driver.write(queue, 1, 100 + index * 128, data, options)));
  for (const queue of queues) expect(await driver.read(queue, 1, 100, data.length, options)).toEqual(data);
  for (let round = 0; round < 20; round++) await driver.flush(queues[round % 2]!, 1);
  await driver.deleteQueues(1);
  await driver.shutdown();
  await machine.close();
  expect(await daemon.stop(), daemon.log).toBe(0);
  const image = readFileSync(join(daemon.folder, 'disk.img'));
  expect(Buffer.compare(image.subarray(100 * 512, 356 * 512), Buffer.concat([data, data]))).toBe(0);
});

import { openDrive, parseDrive } from '@sidecard/block';
import { NvmeDriver, plug } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { Controller } from '../../src/index.ts';

test('what one queue writes another reads, with a vector for each', async () => {
  await using machine = await plug((host, native) => {
    const backend = openDrive(parseDrive('mem:64M'), { ...host, native });
    return new Controller(host, { drives: [{ backend, lbaBytes: 512 }] });
  });
  const driver = new NvmeDriver(machine.function, { interrupts: 'msix', vectors: 3 });
  await driver.enable();
  const [one, two] = [await driver.createQueues(1), await driver.createQueues(2)];
  const data = new Uint8Array(4096).fill(0x5a);
  await driver.write(one, 1, 8, data, { blockBytes: 512 });
  expect(await driver.read(two, 1, 8, 4096, { blockBytes: 512 })).toEqual(data);
});

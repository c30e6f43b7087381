import { truncateSync } from 'node:fs';
import { AdminOpcode, type NvmeDriver } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';
import { pattern, started } from './machine.ts';
import { TestDrive } from './test-drive.ts';

const mib = 1 << 20;

/** The Changed Namespace List, log page 04h. */
async function changed(driver: NvmeDriver): Promise<number[]> {
  const page = await driver.logPage(4, 4096);
  return [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter((nsid) => nsid !== 0);
}

test('a change while the log is on its way has not been read', async () => {
  const drives = [1, 2].map((seed) => new TestDrive(mib, { seed }));
  const { driver, controller, client, settle } = await started('messages', { drives });
  await driver.setFeature(0x0b, 1 << 8);
  drives[0]!.resize(2 * mib);
  controller.reload();
  const prp1 = driver.ram.allocate(4096);
  const cid = driver.admin.submit({ opcode: AdminOpcode.getLogPage, prp1, cdw10: 4 | (1023 << 16) });
  while (client.wire.dma.held.every(({ kind }) => kind !== 'write')) settle(1);
  drives[1]!.resize(2 * mib);
  controller.reload();
  await driver.admin.completion(cid);
  // Neither has its event.
  expect((await driver.adminCommand({ opcode: AdminOpcode.asyncEventRequest })).dw0).toBe((4 << 16) | 2);
  expect(await changed(driver)).toEqual([2]);
});

test('the daemon: an image that was grown, and SIGHUP', async () => {
  const daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=1M']);
  const guest = await Attached.to(daemon, { memory: 'mapped', doorbells: 'trapped' });
  try {
    const { driver } = guest;
    await driver.setFeature(0x0b, 1 << 8);
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    truncateSync(`${daemon.folder}/disk.img`, 3 * mib);
    daemon.signal('SIGHUP');
    expect((await driver.admin.completion(cid)).dw0).toBe((4 << 16) | 2);
    expect(await changed(driver)).toEqual([1]);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(3 * 2048);
    await driver.write(guest.queues[0]!, 1, 6136, pattern(4096), { blockBytes: 512 });
  } finally {
    guest.close();
    await daemon.remove();
  }
});

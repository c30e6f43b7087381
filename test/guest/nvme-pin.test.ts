/** The disk's interrupt by its pin, in a Linux without MSI: issue 11, "Interrupts". */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk, readDigest, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('NVMe by INTA#, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory, kernelArguments: 'pci=nomsi' });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  const interrupts = async () => Number(await guest.check(`awk '/nvme0q1/ { print $2 }' /proc/interrupts`));

  test('an interrupt for a command, and hardly one more: the line falls when its entry is consumed', async () => {
    const before = await interrupts();
    await guest.check(`dd if=${disk} of=/dev/null bs=4k count=400 iflag=direct status=none`);
    const count = (await interrupts()) - before;
    expect(count).toBeGreaterThanOrEqual(400);
    expect(count).toBeLessThan(1000);
  });

  test('many commands at once, of all sizes', async () => {
    await guest.check(
      `fio --name=pin --filename=${disk} --ioengine=libaio --direct=1 --iodepth=32 --rw=randrw --bsrange=512-128k --blockalign=512 --offset=64M --size=32M --io_size=64M --verify=crc32c`,
      { timeoutMs: 120_000 },
    );
    const written = await writeRandom(guest, disk, 0, 4);
    expect(await readDigest(guest, disk, 0, 4)).toBe(written);
  });

  test('the guest has no complaint: above all nobody was interrupted for nothing', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

/** File systems are filled, checked, scrubbed and compared: issue 10, "Must show", item 2. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compare, fileSystems, fill, mount, unmount } from './file-system.ts';
import { complaints, disk, NvmeDisk, until } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const partition = `${disk}p1`;

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('file systems, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory });
    await guest.check(`printf 'label: gpt\\n,320M\\n,\\n' | sfdisk -q ${disk}`);
    await until(guest, `[ -b ${partition} ]`);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  test.each(fileSystems)('$name is filled to its last block, stays sound, and has every byte', async (fileSystem) => {
    await guest.check(fileSystem.make(partition));
    await mount(guest, fileSystem, partition);
    await fill(guest);
    if (fileSystem.scrub) await guest.check(fileSystem.scrub('/mnt'));
    await unmount(guest);
    await guest.check(fileSystem.check(partition));
    await mount(guest, fileSystem, partition);
    await compare(guest);
    await unmount(guest);
  });

  test('what was trimmed takes no room on the host', async () => {
    await guest.check(`blkdiscard ${partition}`);
    expect(nvme.allocatedBytes).toBeLessThan(8 * 2 ** 20);
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

/** A BIOS boots from the device, and Linux takes it over: issue 9, "What it must show", item 1. */
import { provision, writeBootDisk } from '@sidecard/guest';
import { describe, expect, test } from 'vitest';
import { complaints, NvmeDisk } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('SeaBIOS boots from the NVMe disk, $memory', ({ sharedMemory }) => {
  test('GRUB, kernel and root file system come from it, again after a reset', async ({ onTestFailed }) => {
    const nvme = await NvmeDisk.start({ prepare: async (image) => writeBootDisk(await provision(), image) });
    onTestFailed(() => nvme.showLog());
    try {
      const guest = await nvme.boot({ sharedMemory, boot: 'disk' });
      expect(guest.log).toContain('sidecard: GRUB runs from the disk');
      expect(await guest.check('findmnt -no SOURCE /')).toBe('/dev/nvme0n1p1');
      expect(await complaints(guest)).toEqual([]);
      await guest.reset();
      expect(await guest.check('findmnt -no SOURCE /')).toBe('/dev/nvme0n1p1');
      expect(await complaints(guest)).toEqual([]);
      await guest.stop();
    } finally {
      await nvme.stop();
    }
  });
});

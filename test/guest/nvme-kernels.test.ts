/** Linux of an older and of a newer generation, in short: issue 10, "Must show", item 2. */
import { type Guest, otherReleases, provision } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../missing.ts';
import { compare, fileSystems, fill, mount, unmount } from './file-system.ts';
import { complaints, disk, NvmeDisk, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const fio = `fio --name=short --minimal --direct=1 --filename=${disk} --verify=crc32c --do_verify=1 --verify_fatal=1`;

const kernels: Record<string, RegExp> = { bookworm: /^6\.1\./, 'trixie-backports': /^(?!6\.)\d+\./ };

for (const release of otherReleases) {
  const noKernel = noGuests ?? (await missing(() => provision(release)));

  describe.skipIf(noKernel).each([
    { memory: 'shared memory', sharedMemory: true },
    { memory: 'memory by messages', sharedMemory: false },
  ])(`Linux of ${release}, $memory`, ({ sharedMemory }) => {
    let nvme: NvmeDisk;
    let guest: Guest;

    beforeAll(async () => {
      nvme = await NvmeDisk.start();
      guest = await nvme.boot({ kernel: release, sharedMemory });
    });
    beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
    afterAll(async () => {
      await guest?.stop();
      await nvme?.stop();
    });

    test('its driver binds', async () => {
      expect(await guest.check('uname -r')).toMatch(kernels[release] as RegExp);
      expect(await guest.check('basename $(readlink /sys/class/nvme/nvme0/device/driver)')).toBe('nvme');
      expect(await guest.check('ls /sys/block/nvme0n1/mq | wc -l')).toBe('2');
      expect(nvme.mapsGuestMemory).toBe(sharedMemory);
    });

    test('random data comes back, by sha256, also after a reset', async () => {
      const written = await writeRandom(guest, disk, 16, 16);
      expect(await readDigest(guest, disk, 16, 16)).toBe(written);
      await guest.check('nvme reset /dev/nvme0');
      await until(guest, '[ "$(cat /sys/class/nvme/nvme0/state)" = live ]');
      expect(await readDigest(guest, disk, 16, 16)).toBe(written);
    });

    test.each([
      ['4 KiB at random', '--ioengine=libaio --rw=randwrite --bs=4k --iodepth=32 --size=8m'],
      [
        'mixed sizes',
        '--ioengine=io_uring --rw=randrw --bsrange=512-512k --blockalign=512 --serialize_overlap=1 --iodepth=32 --size=48m',
      ],
      ['trims', '--ioengine=libaio --rw=randtrimwrite --bs=16k --iodepth=8 --size=8m'],
    ])('fio verifies: %s', async (_, load) => {
      await guest.check(`${fio} ${load} --numjobs=2 --offset_increment=128M`, { timeoutMs: 100_000 });
    });

    test('ext4 is filled and stays sound', () => soundness('ext4', '96M'));

    // xfs_scrub needs a kernel that is built for it; -x reads every block of every file from the medium.
    if (release === 'trixie-backports' && sharedMemory)
      test('xfs is filled, scrubbed and stays sound', () => soundness('xfs', '320M', 'xfs_scrub -n -x /mnt'));

    async function soundness(name: string, size: string, scrub = 'true'): Promise<void> {
      const fileSystem = fileSystems.find((each) => each.name === name)!;
      const partition = `${disk}p1`;
      await guest.check(`printf 'label: gpt\\n,${size}\\n' | sfdisk -q --wipe always ${disk}`);
      await until(guest, `[ -b ${partition} ]`);
      await guest.check(fileSystem.make(partition));
      await mount(guest, fileSystem, partition);
      await fill(guest);
      await guest.check(scrub);
      await unmount(guest);
      await guest.check(fileSystem.check(partition));
      await mount(guest, fileSystem, partition);
      await compare(guest);
      await unmount(guest);
    }

    test('the guest has no complaint', async () => {
      expect(await complaints(guest)).toEqual([]);
    });
  });
}

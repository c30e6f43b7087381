/** What an unchanged Linux does with the NVMe device while it runs: issue 9, "What it must show", item 1. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk, nonZeroBytes, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const fio = [
  `fio --filename=${disk} --ioengine=libaio --direct=1 --iodepth=32`,
  '--verify=crc32c --do_verify=1 --verify_fatal=1 --minimal',
].join(' ');

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true, fioMiB: 96 },
  { memory: 'memory by messages', sharedMemory: false, fioMiB: 24 },
])('NVMe in a Linux guest, $memory', ({ sharedMemory, fioMiB }) => {
  let nvme: NvmeDisk;
  let guest: Guest;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  test(sharedMemory ? 'the daemon maps guest memory' : 'the daemon maps nothing of the guest', () => {
    expect(nvme.mapsGuestMemory).toBe(sharedMemory);
  });

  test('the driver binds, with a queue for each processor and MSI-X', async () => {
    expect(await guest.check('basename $(readlink /sys/class/nvme/nvme0/device/driver)')).toBe('nvme');
    expect(Number(await guest.check(`ls /sys/block/nvme0n1/mq | wc -l`))).toBeGreaterThanOrEqual(2);
    // One vector for the admin queue and one for each I/O queue.
    const vectors = await guest.check('cat /sys/class/nvme/nvme0/device/msi_irqs/*');
    expect(vectors.split('\n').length).toBeGreaterThanOrEqual(3);
    expect(new Set(vectors.split('\n'))).toEqual(new Set(['msix']));
    expect(await guest.check(`blockdev --getsize64 ${disk}`)).toBe(`${2 ** 30}`);
  });

  test('every processor gets its interrupts', async () => {
    await guest.check(
      `for cpu in 0 1; do taskset -c $cpu dd if=${disk} of=/dev/null bs=4k count=64 iflag=direct; done`,
    );
    const counts = await guest.check(`awk '/nvme0q[12]$/ { print $2 + $3 }' /proc/interrupts`);
    expect(
      counts
        .split('\n')
        .map(Number)
        .every((count) => count >= 32),
    ).toBe(true);
  });

  test('random data comes back, by sha256', async () => {
    const written = await writeRandom(guest, disk, 16, 64);
    expect(await readDigest(guest, disk, 16, 64)).toBe(written);
  });

  test('fio verifies 4 KiB random writes at queue depth 32', async () => {
    await guest.check(`${fio} --name=random --rw=randwrite --bs=4k --size=${fioMiB}M`, { timeoutMs: 100_000 });
  });

  test('fio verifies mixed reads and writes of 512 B to 256 KiB', async () => {
    const sizes = '--bsrange=512-256k --bs_unaligned=0 --blockalign=512 --serialize_overlap=1';
    await guest.check(`${fio} --name=mixed --rw=randrw ${sizes} --size=${fioMiB * 2}M`, { timeoutMs: 100_000 });
  });

  test('is partitioned, and ext4 on a partition is filled and stays clean', async () => {
    await guest.check(`printf 'label: gpt\\n,128M\\n,\\n' | sfdisk -q ${disk}`);
    const partition = `${disk}p1`;
    await until(guest, `[ -b ${partition} ]`);
    await guest.check(`mkfs.ext4 -q ${partition} && mount ${partition} /mnt`);
    // Files of all sizes until no room is left.
    await guest.check(`head -c 9M /dev/urandom >/tmp/data; n=1
      while head -c $((n * 4099 % 9437184)) /tmp/data >/mnt/$n 2>/dev/null; do n=$((n + 37)); done; rm -f /mnt/$n
      cd /mnt && find . -type f | xargs sha256sum >/tmp/sums && [ $(wc -l </tmp/sums) -gt 20 ]`);
    await guest.check(`umount /mnt && fsck.ext4 -fn ${partition} && echo 3 >/proc/sys/vm/drop_caches`);
    await guest.check(`mount ${partition} /mnt && cd /mnt && sha256sum -c --quiet /tmp/sums; cd /; umount /mnt`);
    await guest.check(`wipefs -qa ${disk}`);
  });

  test('blkdiscard gives the room back to the host, and reads zeros', async () => {
    await writeRandom(guest, disk, 256, 32);
    const before = nvme.allocatedBytes;
    await guest.check(`blkdiscard -o 256M -l 32M ${disk}`);
    expect(before - nvme.allocatedBytes).toBeGreaterThanOrEqual(30 * 2 ** 20);
    expect(await nonZeroBytes(guest, disk, 256, 32)).toBe(0);
  });

  test('write-zeroes zeroes what it names and no more', async () => {
    expect(Number(await guest.check('cat /sys/block/nvme0n1/queue/write_zeroes_max_bytes'))).toBeGreaterThan(0);
    const around = await writeRandom(guest, disk, 300, 1);
    await writeRandom(guest, disk, 301, 8);
    const behind = await writeRandom(guest, disk, 309, 1);
    await guest.check(`blkdiscard -z -o 301M -l 8M ${disk}`);
    expect(await nonZeroBytes(guest, disk, 301, 8)).toBe(0);
    expect(await readDigest(guest, disk, 300, 1)).toBe(around);
    expect(await readDigest(guest, disk, 309, 1)).toBe(behind);
  });

  test.each(['list', 'id-ctrl /dev/nvme0', `id-ns ${disk}`, 'smart-log /dev/nvme0', 'error-log /dev/nvme0'])(
    'nvme %s answers',
    async (command) => {
      expect(JSON.parse(await guest.check(`nvme ${command} -o json 2>/dev/null`))).toBeTypeOf('object');
    },
  );

  test('nvme-cli shows what the device is', async () => {
    expect(await guest.check('nvme list')).toContain(disk);
    const identity = JSON.parse(await guest.check('nvme id-ctrl /dev/nvme0 -o json'));
    expect(identity.mn.trim()).not.toBe('');
    const space = JSON.parse(await guest.check(`nvme id-ns ${disk} -o json`));
    expect(space.nsze).toBe(2 ** 30 / 512);
    const health = JSON.parse(await guest.check('nvme smart-log /dev/nvme0 -o json'));
    expect(health.critical_warning).toBe(0);
    expect(Number(health.data_units_written)).toBeGreaterThan(0);
  });

  test('nvme reset brings the controller back, data and all', async () => {
    const written = await writeRandom(guest, disk, 400, 4);
    for (let round = 0; round < 3; round++) await guest.check('nvme reset /dev/nvme0');
    await until(guest, '[ "$(cat /sys/class/nvme/nvme0/state)" = live ]');
    expect(await readDigest(guest, disk, 400, 4)).toBe(written);
  });

  test('a reset with I/O in flight loses none of it', async () => {
    const running = guest.check(`${fio} --name=reset --rw=randwrite --bs=4k --size=8M --loops=2`, {
      timeoutMs: 100_000,
    });
    for (let round = 0; round < 3; round++) await guest.check('sleep 0.5; nvme reset /dev/nvme0');
    await running;
  });

  test('unbind and bind', async () => {
    const written = await writeRandom(guest, disk, 500, 4);
    const address = await guest.check('basename $(readlink /sys/class/nvme/nvme0/device)');
    for (let round = 0; round < 2; round++) {
      await guest.check(`echo ${address} >/sys/bus/pci/drivers/nvme/unbind && [ ! -e ${disk} ]`);
      await guest.check(`echo ${address} >/sys/bus/pci/drivers/nvme/bind`);
      await until(guest, `[ -b ${disk} ]`);
    }
    expect(await readDigest(guest, disk, 500, 4)).toBe(written);
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

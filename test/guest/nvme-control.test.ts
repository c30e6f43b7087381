/** Disks are added, resized and removed by the control socket while an unchanged Linux uses them: issue 11. */
import { statSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, NvmeDisk, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const MiB = 2 ** 20;
/** What Linux says of every change of the list of namespaces, by its own choice at this level. */
const rescans = /rescanning namespaces/;
/** What it says of a disk that goes while it looks what is on it. */
const thirdDisk = /nvme0n3\b|\(nsid=3, |identifiers changed for nsid 3$| callbacks suppressed$/;

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('the control socket, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;
  let control: ControlClient;
  /** The disk that is there from the start, and the one that comes and goes. */
  let disk: string;
  let added: string;

  beforeAll(async () => {
    nvme = await NvmeDisk.start({ size: '256M', args: (folder) => ['--control', join(folder, 'control.sock')] });
    control = await openControl(join(nvme.folder, 'control.sock'));
    guest = await nvme.boot({ sharedMemory });
    disk = await deviceOf(1);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    control?.close();
    await guest?.stop();
    await nvme?.stop();
  });

  const image = () => join(nvme.folder, 'added.img');
  const disks = () => guest.check('ls /sys/block | grep nvme | wc -l');

  /** Linux counts its disks as it finds them, and not as the controller does. */
  async function deviceOf(nsid: number): Promise<string> {
    const look = `cd /sys/block && for disk in nvme0n*; do [ "$(cat $disk/nsid)" = ${nsid} ] && echo /dev/$disk && break; done`;
    await until(guest, `${look} | grep -q .`);
    return guest.check(look);
  }

  function sizeIs(device: string, bytes: number): string {
    return `[ "$(blockdev --getsize64 ${device} 2>/dev/null)" = ${bytes} ]`;
  }

  test('a drive is added: it is a disk, of its size and identity', async () => {
    const { nsid, uuid } = (await control.post('/namespaces', { drive: `${image()},size=64M` })) as {
      nsid: number;
      uuid: string;
    };
    expect(nsid).toBe(2);
    added = await deviceOf(2);
    await until(guest, sizeIs(added, 64 * MiB));
    expect(await guest.check(`lsblk -dnbo SIZE,RO ${added}`)).toMatch(/^\s*67108864\s+0$/);
    expect(await guest.check(`cat /sys/block/$(basename ${added})/uuid`)).toBe(uuid);
    await guest.check(`mkfs.ext4 -q -F ${added} && mount -t ext4 ${added} /mnt &&
      head -c 40M /dev/urandom >/mnt/data && sha256sum /mnt/data >/tmp/sum && sync`);
  });

  test('it grows under the file system that is mounted, which grows after it', async () => {
    expect(await control.patch('/namespaces/2', { sizeBytes: 256 * MiB })).toMatchObject({ blocks: 524288 });
    await until(guest, sizeIs(added, 256 * MiB));
    await guest.check(`resize2fs ${added} 2>&1 && head -c 150M /dev/urandom >/mnt/more && sync &&
      sha256sum /mnt/more >>/tmp/sum && echo 3 >/proc/sys/vm/drop_caches && sha256sum -c --quiet /tmp/sum`);
    // Sparse: no more room than what was written.
    expect(statSync(image())).toMatchObject({ size: 256 * MiB });
    expect(statSync(image()).blocks * 512).toBeLessThan(220 * MiB);
  });

  test('removed, it is gone, and the image is free with all that was written; added again it is as it was', async () => {
    await guest.check('umount /mnt');
    await control.delete('/namespaces/2');
    await until(guest, `[ ! -e ${added} ]`);
    truncateSync(image(), 320 * MiB);
    expect(await control.post('/namespaces', { drive: image() })).toMatchObject({ nsid: 2 });
    added = await deviceOf(2);
    await until(guest, sizeIs(added, 320 * MiB));
    await guest.check(
      `fsck.ext4 -fn ${added} && mount -t ext4 ${added} /mnt && sha256sum -c --quiet /tmp/sum && umount /mnt`,
    );
    const written = await writeRandom(guest, added, 300, 8);
    await control.post('/namespaces/2/detach');
    await until(guest, `[ ! -e ${added} ]`);
    await control.post('/namespaces/2/attach');
    added = await deviceOf(2);
    expect(await readDigest(guest, added, 300, 8)).toBe(written);
  });

  test('of all this the guest has no complaint', async () => {
    expect(await complaints(guest, [rescans])).toEqual([]);
  });

  test('full of verified I/O while disks come, grow and go: nothing of it is lost', async () => {
    const load = '--rw=randrw --bs=4k --iodepth=64 --time_based --runtime=10 --verify=crc32c --verify_fatal=1';
    const fio = guest.check(
      `fio --name=verified --minimal --filename=${disk} --size=64m --ioengine=io_uring --direct=1 ${load}`,
      { timeoutMs: 120_000 },
    );
    let running = true;
    const ended = fio.finally(() => {
      running = false;
    });
    ended.catch(() => {});
    let sizeBytes = 256 * MiB;
    let rounds = 0;
    for (; running; rounds++) {
      await control.post('/namespaces', { drive: 'mem:16M', nsid: 3 });
      sizeBytes += MiB;
      await control.patch('/namespaces/1', { sizeBytes });
      await control.patch('/namespaces/3', { sizeBytes: 32 * MiB });
      await control.delete('/namespaces/3');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await ended;
    expect(rounds).toBeGreaterThan(10);
    await until(guest, sizeIs(disk, sizeBytes), 60);
    await until(guest, '[ $(ls /sys/block | grep -c nvme) = 2 ]', 60);
    expect(await complaints(guest, [rescans, thirdDisk])).toEqual([]);
  });

  test('torn out from under a file system that writes: an error there, and nowhere else', async () => {
    await guest.check(`mkfs.ext4 -q -F ${added} && mount -t ext4 ${added} /mnt`);
    const writing = guest.run('dd if=/dev/zero of=/mnt/file bs=1M count=300 conv=fsync 2>&1', { timeoutMs: 60_000 });
    await until(guest, '[ -s /mnt/file ]');
    await control.delete('/namespaces/2');
    expect((await writing).status).not.toBe(0);
    await guest.check('umount /mnt');
    await until(guest, '[ $(ls /sys/block | grep -c nvme) = 1 ]', 60);
    expect(await disks()).toBe('1');
    const written = await writeRandom(guest, disk, 200, 8);
    expect(await readDigest(guest, disk, 200, 8)).toBe(written);
    const fileSystem = /EXT4-fs|JBD2|Aborting journal/;
    const torn = new RegExp(`\\b${basename(added)}\\b`);
    expect(await complaints(guest, [rescans, thirdDisk, torn, fileSystem])).toEqual([]);
    expect(await control.post('/namespaces', { drive: image() })).toMatchObject({ nsid: 2 });
    await until(guest, '[ $(ls /sys/block | grep -c nvme) = 2 ]');
  });
});

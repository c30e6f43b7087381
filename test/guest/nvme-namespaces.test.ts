/** Namespaces are formatted, made, attached, resized and deleted by an unchanged Linux: issue 10, "Must show", item 2. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Guest, startDevice } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, NvmeDisk, nonZeroBytes, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const controller = '/dev/nvme0';
const MiB = 2 ** 20;

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('namespaces, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;
  /** The first namespace, and the one that the guest makes. */
  let disk: string;
  let made: string;
  let inMade: string;

  beforeAll(async () => {
    nvme = await NvmeDisk.start({ size: '256M', args: (folder) => ['--pool', `${join(folder, 'pool')},size=256M`] });
    guest = await nvme.boot({ sharedMemory });
    disk = await deviceOf(1);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  async function json<T>(command: string): Promise<T> {
    return JSON.parse(await guest.check(`nvme ${command} -o json 2>/dev/null`));
  }

  async function namespaces(which: '' | '--all'): Promise<number[]> {
    const { nsid_list } = await json<{ nsid_list: { nsid: number }[] }>(`list-ns ${controller} ${which}`);
    return nsid_list.map(({ nsid }) => nsid);
  }

  /** Linux counts its disks as it finds them, and not as the controller does. */
  async function deviceOf(nsid: number): Promise<string> {
    const look = `cd /sys/block && for disk in nvme0n*; do [ "$(cat $disk/nsid)" = ${nsid} ] && echo /dev/$disk && break; done`;
    await until(guest, `${look} | grep -q .`);
    return guest.check(look);
  }

  function blockBytes(device: string): Promise<string> {
    return guest.check(`cat /sys/block/$(basename ${device})/queue/logical_block_size`);
  }

  function sizeIs(device: string, bytes: number): string {
    return `[ "$(blockdev --getsize64 ${device} 2>/dev/null)" = ${bytes} ]`;
  }

  async function verified(device: string, bytes: number): Promise<void> {
    const load = `--rw=randwrite --bs=${bytes} --iodepth=32 --size=4m --verify=crc32c --verify_fatal=1`;
    await guest.check(`fio --name=verified --minimal --filename=${device} --ioengine=io_uring --direct=1 ${load}`);
  }

  test('each LBA format is described', async () => {
    const { lbafs } = await json<{ lbafs: { ds: number; ms: number }[] }>(`id-ns ${disk}`);
    expect(lbafs.map(({ ds, ms }) => ({ ds, ms }))).toEqual([
      { ds: 9, ms: 0 },
      { ds: 12, ms: 0 },
    ]);
    for (const format of [0, 1]) {
      await guest.check(`nvme id-ns-lba-format ${controller} --lba-format-index=${format}`);
      await guest.check(`nvme nvm-id-ns-lba-format ${controller} --lba-format-index=${format}`);
    }
  });

  test.each([
    { format: 1, bytes: 4096, erase: '--ses=0' },
    { format: 0, bytes: 512, erase: '--ses=1' },
  ])('format to blocks of $bytes bytes, $erase', async ({ format, bytes, erase }) => {
    await writeRandom(guest, disk, 16, 8);
    await guest.check(`nvme format ${disk} --lbaf=${format} ${erase} --force`, { timeoutMs: 100_000 });
    await until(guest, `[ "$(cat /sys/block/$(basename ${disk})/queue/logical_block_size)" = ${bytes} ]`);
    await until(guest, sizeIs(disk, 256 * MiB));
    expect(await nonZeroBytes(guest, disk, 16, 8)).toBe(0);
    const written = await writeRandom(guest, disk, 32, 8);
    expect(await readDigest(guest, disk, 32, 8)).toBe(written);
    await verified(disk, bytes);
    await guest.check('nvme reset /dev/nvme0');
    expect(await blockBytes(disk)).toBe(`${bytes}`);
    expect(await readDigest(guest, disk, 32, 8)).toBe(written);
    if (bytes === 512) return;
    await guest.check(`mkfs.ext4 -q -F ${disk} && mount -t ext4 ${disk} /mnt && head -c 4M /dev/urandom >/mnt/data &&
      sha256sum /mnt/data >/tmp/sum && umount /mnt && fsck.ext4 -fn ${disk} && mount -t ext4 ${disk} /mnt &&
      sha256sum -c --quiet /tmp/sum && umount /mnt`);
  });

  test('create-ns and attach-ns: a disk more', async () => {
    expect(await namespaces('--all')).toEqual([1]);
    const before = await json<{ tnvmcap: number; unvmcap: number }>(`id-ctrl ${controller}`);
    expect(before).toMatchObject({ unvmcap: 256 * MiB });
    const blocks = (64 * MiB) / 4096;
    expect(await guest.check(`nvme create-ns ${controller} --nsze=${blocks} --ncap=${blocks} --flbas=1`)).toContain(
      'nsid:2',
    );
    expect(await namespaces('--all')).toEqual([1, 2]);
    expect(await namespaces('')).toEqual([1]);
    expect(await json(`id-ctrl ${controller}`)).toMatchObject({ unvmcap: 192 * MiB });
    expect(await guest.check(`nvme attach-ns ${controller} --namespace-id=2 --controllers=0`)).toContain('Success');
    made = await deviceOf(2);
    await until(guest, sizeIs(made, 64 * MiB));
    expect(await namespaces('')).toEqual([1, 2]);
    [disk, made] = [await deviceOf(1), await deviceOf(2)];
    expect(await blockBytes(made)).toBe('4096');
    await verified(made, 4096);
    inMade = await writeRandom(guest, made, 8, 8);
    expect(await readDigest(guest, made, 8, 8)).toBe(inMade);
  });

  test('detach-ns takes the disk away, attach-ns brings it back with its data', async () => {
    const other = await writeRandom(guest, disk, 64, 4);
    await guest.check(`nvme detach-ns ${controller} --namespace-id=2 --controllers=0`);
    await until(guest, `[ ! -e ${made} ]`);
    expect(await readDigest(guest, disk, 64, 4)).toBe(other);
    await guest.check(`nvme attach-ns ${controller} --namespace-id=2 --controllers=0`);
    made = await deviceOf(2);
    expect(await readDigest(guest, made, 8, 8)).toBe(inMade);
  });

  test('another daemon and another guest find the same namespaces', async () => {
    await guest.check('sync');
    await guest.stop();
    await nvme.restart();
    guest = await nvme.boot({ sharedMemory });
    expect(await namespaces('')).toEqual([1, 2]);
    [disk, made] = [await deviceOf(1), await deviceOf(2)];
    expect(await blockBytes(made)).toBe('4096');
    expect(await readDigest(guest, made, 8, 8)).toBe(inMade);
  });

  test('an image that has grown is a larger disk, by itself, and keeps its data', async () => {
    const written = await writeRandom(guest, disk, 128, 8);
    truncateSync(nvme.image, 320 * MiB);
    nvme.device.signal('SIGHUP');
    await until(guest, sizeIs(disk, 320 * MiB));
    expect(await readDigest(guest, disk, 128, 8)).toBe(written);
    const behind = await writeRandom(guest, disk, 300, 8);
    expect(await readDigest(guest, disk, 300, 8)).toBe(behind);
    await verified(disk, 512);
  });

  test('delete-ns gives its room back', async () => {
    await guest.check(`nvme delete-ns ${controller} --namespace-id=2`);
    await until(guest, `[ ! -e ${made} ]`);
    expect(await namespaces('--all')).toEqual([1]);
    expect(await json(`id-ctrl ${controller}`)).toMatchObject({ unvmcap: 256 * MiB });
    expect(await denied(`delete-ns ${controller} --namespace-id=1`)).toContain('Operation Denied');
    expect(await namespaces('')).toEqual([1]);
  });

  /** A drive of the command line is not the guest's to delete. */
  async function denied(command: string): Promise<string> {
    const { status, stdout } = await guest.run(`nvme ${command} 2>&1`);
    expect(status).toBe(1);
    return stdout;
  }

  test('the guest has no complaint', async () => {
    expect(await complaints(guest, [/rescanning namespaces/])).toEqual([]);
  });
});

describe.skipIf(noGuests)('a pool alone', () => {
  test('as nvme-cli tests it: all deleted at once, and as many made as there can be, of equal parts of the room', async () => {
    const device = await startDevice('sidecard-nvme', ['--pool', '{folder}/pool,size=256M']);
    const guest = await Guest.boot({ devices: [device.socket] });
    try {
      const { nn, tnvmcap } = JSON.parse(await guest.check(`nvme id-ctrl ${controller} -o json`));
      const blocks = Math.floor(tnvmcap / nn / 512 / 2048) * 2048;
      await guest.check(`for nsid in $(seq ${nn}); do
        nvme create-ns ${controller} --nsze=${blocks} --ncap=${blocks} --flbas=0 &&
        nvme attach-ns ${controller} --namespace-id=$nsid --controllers=0 || exit 1
      done`);
      await until(guest, `[ $(ls -d /sys/block/nvme0n* | wc -l) = ${nn} ]`);
      await guest.check(`nvme delete-ns ${controller} --namespace-id=0xffffffff`);
      await until(guest, '! ls -d /sys/block/nvme0n* 2>/dev/null | grep -q .');
      const pool = join(device.folder, 'pool');
      const images = readdirSync(pool).filter((name) => statSync(join(pool, name)).size > MiB);
      expect(images).toEqual([]);
      expect(await complaints(guest, [/rescanning namespaces/])).toEqual([]);
    } finally {
      await guest.stop();
      expect(await device.stop()).toBe(0);
      await device.remove();
    }
  });
});

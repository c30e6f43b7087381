/** Limits of a drive as fio in a guest sees them: operations and bytes in a second, changed while it runs (issue 11). */
import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, NvmeDisk } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const route = '/namespaces/1/limits';
const none = { iops: null, bytesPerSecond: null };

interface Rates {
  readonly iops: number;
  readonly bytesPerSecond: number;
}

describe.skipIf(noGuests)('limits of a drive, by fio', () => {
  let nvme: NvmeDisk;
  let guest: Guest;
  let control: ControlClient;
  /** Of namespace 1, which has the limits, and 2. Linux numbers them as it finds them. */
  let disk: string;
  let other: string;

  beforeAll(async () => {
    nvme = await NvmeDisk.start({
      args: (folder) => ['--drive', 'mem:64M', '--control', join(folder, 'control.sock')],
    });
    control = await openControl(join(nvme.folder, 'control.sock'));
    guest = await nvme.boot({ sharedMemory: true, cpus: 2 });
    [disk, other] = (await Promise.all([1, 2].map(deviceOf))) as [string, string];
    await guest.check(`dd if=/dev/zero of=${disk} bs=1M count=64 oflag=direct status=none`);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    control?.close();
    await guest?.stop();
    await nvme?.stop();
  });

  async function deviceOf(nsid: number): Promise<string> {
    return `/dev/${await guest.check(`basename $(dirname $(grep -lx ${nsid} /sys/block/nvme0n*/nsid))`)}`;
  }

  /** What fio gets in so many seconds, with 32 requests under way. */
  async function fio(pattern: string, blockSize: string, seconds: number, of = disk): Promise<Rates> {
    const load = `--rw=${pattern} --bs=${blockSize} --iodepth=32 --ioengine=libaio --time_based --runtime=${seconds}`;
    const size = `--filename=${of} --direct=1 --size=64m`;
    const text = await guest.check(`fio --name=load --output-format=json ${size} ${load}`, { timeoutMs: 60_000 });
    const { read, write } = JSON.parse(text.slice(text.indexOf('{'))).jobs[0];
    return { iops: read.iops + write.iops, bytesPerSecond: read.bw_bytes + write.bw_bytes };
  }

  /** A machine that has other things to do gives less, but never more. */
  function expectRate(rate: number, limit: number): void {
    expect(rate).toBeLessThanOrEqual(limit * 1.1);
    expect(rate).toBeGreaterThanOrEqual(limit * 0.7);
  }

  test.each([
    ['randread', 100],
    ['randwrite', 300],
    ['randrw', 500],
  ])('%s: %d operations a second', async (pattern, iops) => {
    await control.patch(route, { ...none, iops });
    expectRate((await fio(pattern, '4k', 4)).iops, iops);
  });

  test.each([
    ['read', '4k', 1 << 20],
    ['write', '64k', 4 << 20],
    ['randrw', '1m', 8 << 20],
  ])('%s, %s: %d bytes a second', async (pattern, blockSize, bytesPerSecond) => {
    await control.patch(route, { ...none, bytesPerSecond });
    expectRate((await fio(pattern, blockSize, 5)).bytesPerSecond, bytesPerSecond);
  });

  test('a change holds at once, also while fio waits', async () => {
    await control.patch(route, { ...none, iops: 1 });
    const running = fio('randread', '4k', 6);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await control.patch(route, { iops: 400 });
    const { iops } = await running;
    expect(iops).toBeLessThanOrEqual(400 * 1.1);
    expect(iops).toBeGreaterThan(50);
  });

  test('another drive does not notice, with more requests waiting than there are slots', async () => {
    await control.patch(route, { iops: 100, bytesPerSecond: null });
    // Linux has 1,023 for all drives together on each processor's queue: some are left for the other.
    const flood = '--rw=randwrite --bs=4k --ioengine=libaio --iodepth=350 --numjobs=2 --time_based --runtime=8';
    await guest.check(`fio --name=flood --filename=${disk} --direct=1 --size=64m ${flood} >/dev/null 2>&1 &`);
    for (let waiting = 0; waiting < 600; ) {
      const metrics = (await control.get('/metrics')) as string;
      waiting = Number(/^sidecard_nvme_limit_waiting_commands\{nsid="1"\} (\d+)$/m.exec(metrics)![1]);
    }
    const { iops } = await fio('randread', '4k', 3, other);
    await control.patch(route, none);
    await guest.check('wait; while pidof fio >/dev/null; do sleep 0.1; done', { timeoutMs: 60_000 });
    expect(iops).toBeGreaterThan(300);
  });

  test('a file system, a reset of the controller and flushes go on under a limit', async () => {
    await control.patch(route, { iops: 200, bytesPerSecond: 8 << 20 });
    await guest.check(`mkfs.ext4 -q -F ${disk} 32M && mkdir -p /mnt/limited && mount ${disk} /mnt/limited`, {
      timeoutMs: 60_000,
    });
    const write = 'head -c 4M /dev/urandom >/mnt/limited/file && sync && sha256sum </mnt/limited/file';
    const digest = await guest.check(write, { timeoutMs: 60_000 });
    await guest.check(
      'head -c 8M /dev/zero >/mnt/limited/more & sleep 0.2; nvme reset /dev/nvme0; wait; sync; echo 3 >/proc/sys/vm/drop_caches',
      { timeoutMs: 60_000 },
    );
    expect(await guest.check('sha256sum </mnt/limited/file; umount /mnt/limited', { timeoutMs: 60_000 })).toBe(digest);
  });

  test('once they are lifted nothing is left of them', async () => {
    await control.patch(route, none);
    expect((await fio('randread', '4k', 3)).iops).toBeGreaterThan(600);
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

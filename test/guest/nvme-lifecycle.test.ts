/** Guests come and go, and one daemon serves them all: issue 9, "What it must show", item 1. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('NVMe outlives its guests, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;
  let written: string;
  const rootPort = JSON.stringify({ driver: 'pcie-root-port', id: 'spare', chassis: 1, addr: '1c.0' });

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory, args: ['-device', rootPort] });
    written = await writeRandom(guest, disk, 0, 16);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  /** Keeps reads and writes in flight, away from what the tests compare, and waits until they flow. */
  async function keepBusy(): Promise<void> {
    const load = '--rw=randrw --bsrange=512-128k --blockalign=512 --offset=64M --size=256M --time_based --runtime=600';
    const fio = `fio --name=busy --filename=${disk} --ioengine=libaio --direct=1 --iodepth=32 ${load}`;
    guest.run(fio, { timeoutMs: 600_000 }).catch(() => {});
    await until(guest, `[ $(awk '{ print $9 }' /sys/block/nvme0n1/stat) -gt 0 ]`);
    await guest.check('sleep 1');
  }

  test.each([
    ['the reset line', () => guest.qmp('system_reset')],
    ['an orderly reboot', () => guest.run('reboot -f').catch(() => {})],
    ['a panic', () => guest.run('echo c >/proc/sysrq-trigger').catch(() => {})],
  ] as const)('reboots by %s with I/O in flight', async (_, reboot) => {
    await keepBusy();
    void reboot();
    await guest.ready();
    await until(guest, `[ -b ${disk} ]`);
    expect(await readDigest(guest, disk, 0, 16)).toBe(written);
    expect(await complaints(guest)).toEqual([]);
  });

  test('a second disk is plugged in while the guest runs', async () => {
    const second = await NvmeDisk.start();
    try {
      await guest.plug({ socket: second.socket, id: 'second', bus: 'spare' });
      await until(guest, '[ -b /dev/nvme1n1 ]', 30);
      const data = await writeRandom(guest, '/dev/nvme1n1', 0, 8);
      expect(await readDigest(guest, '/dev/nvme1n1', 0, 8)).toBe(data);
    } finally {
      // QEMU cannot unplug a device with MSI-X (it aborts), so the guest ends with the device still in it.
      await guest.stop();
      await second.stop();
      guest = await nvme.boot({ sharedMemory });
    }
  });

  test('QEMU is killed with I/O in flight, and the next finds the data on the same daemon', async () => {
    await keepBusy();
    await guest.kill();
    guest = await nvme.boot({ sharedMemory });
    expect(await readDigest(guest, disk, 0, 16)).toBe(written);
    const more = await writeRandom(guest, disk, 32, 4);
    expect(await readDigest(guest, disk, 32, 4)).toBe(more);
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });
});

/** Linux describes data by SGLs where it is told to: issue 10, "Must show", item 2. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';
import { type QueuedCommand, queuedCommands, submissionQueues } from './submission-queues.ts';

const [write, read] = [0x01, 0x02];
const verify = '--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 --minimal';

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('SGLs of a Linux guest, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;
  let commands: () => Promise<QueuedCommand[]>;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    guest = await nvme.boot({ sharedMemory, kernelArguments: 'iomem=relaxed' });
    await guest.check('nvme reset /dev/nvme0');
    const queues = await submissionQueues(guest, nvme.folder);
    expect(queues).toHaveLength(2);
    commands = () => queuedCommands(guest, nvme.folder, queues);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  /** The size of transfers, in KiB on average, from which on the driver describes them by SGLs; 0 is never. */
  async function threshold(bytes: number): Promise<void> {
    await guest.check(`echo ${bytes} >/sys/module/nvme/parameters/sgl_threshold`);
  }

  test('large transfers have them by default, small ones do not', async () => {
    // Huge pages, so that what is large is in few pieces: the driver looks at the mean of them.
    await guest.check(`echo 64 >/proc/sys/vm/nr_hugepages`);
    await fill('--bs=256k --iomem=shmhuge --hugepage-size=2m', 400);
    for (const opcode of [write, read]) {
      expect((await commands()).filter((each) => each.opcode === opcode && each.sgl).length).toBeGreaterThan(100);
    }
    await fill('--bs=4k');
    expect((await commands()).filter((each) => each.sgl)).toEqual([]);
  });

  test.each([
    { bytes: 0, sgl: false },
    { bytes: 1, sgl: true },
  ])('from $bytes bytes on: fio verifies, all data by SGLs is $sgl', async ({ bytes, sgl }) => {
    await threshold(bytes);
    await fill('--bsrange=12k-96k --blockalign=4k --serialize_overlap=1');
    const queued = await commands();
    expect(queued.length).toBeGreaterThan(1500);
    expect(queued.filter((each) => each.sgl !== sgl)).toEqual([]);
  });

  test('commands that are passed through have them whatever the threshold', async () => {
    await threshold(0);
    await fill('--bs=4k');
    const written = await writeRandom(guest, disk, 4, 1);
    const part = (index: number): string =>
      `nvme io-passthru ${disk} --opcode=2 --namespace-id=1 --read --raw-binary --data-len=262144 --cdw10=${4 * 2048 + index * 512} --cdw12=511 2>/dev/null`;
    const parts = [0, 1, 2, 3].map(part).join('; ');
    expect(await guest.check(`{ ${parts}; } | sha256sum | cut -d ' ' -f 1`)).toBe(written);
    expect((await commands()).filter((each) => each.sgl).map((each) => each.opcode)).toEqual([read, read, read, read]);
    const through = '--ioengine=io_uring_cmd --cmd_type=nvme --filename=/dev/ng0n1';
    await guest.check(
      `fio --name=through ${through} --rw=randwrite --bsrange=512-128k --blockalign=512 --serialize_overlap=1 --iodepth=32 --size=16m ${verify}`,
    );
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest)).toEqual([]);
  });

  /** Writes and verifies on both processors, until their queues have gone round. */
  async function fill(sizes: string, count = 1200): Promise<void> {
    const spread = '--numjobs=2 --offset_increment=128M --cpus_allowed=0-1 --cpus_allowed_policy=split';
    const load = `--ioengine=io_uring --direct=1 --filename=${disk} --rw=randwrite ${sizes} --iodepth=32`;
    await guest.check(`fio --name=fill ${load} --size=64m --number_ios=${count} ${spread} ${verify}`, {
      timeoutMs: 100_000,
    });
  }
});

/** What smartctl and nvme-cli say of the device and do with it: issue 10, "Must show", item 2. */
import type { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { complaints, disk, NvmeDisk, readDigest, until, writeRandom } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const controller = '/dev/nvme0';

/** CSTS.NSSRO, and not ready. */
const subsystemReset = 1 << 4;
/** Features that carry their value in memory, with its size in bytes. */
const inMemory: { readonly [id: number]: number } = { 14: 8, 22: 512, 129: 16 };
/** Error Recovery is a namespace's own. */
const ofNamespace = [5];
/** Number of Queues can be set once, and the driver has. */
const settled = 7;

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('smartctl and nvme-cli, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let guest: Guest;

  beforeAll(async () => {
    nvme = await NvmeDisk.start();
    // show-regs maps the registers, which the kernel forbids by default while its driver has them.
    guest = await nvme.boot({ sharedMemory, kernelArguments: 'iomem=relaxed' });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => nvme.showLog()));
  afterAll(async () => {
    await guest?.stop();
    await nvme?.stop();
  });

  /** What nvme-cli answers in JSON. */
  async function json<T = object>(command: string): Promise<T> {
    return JSON.parse(await guest.check(`nvme ${command} -o json 2>/dev/null`));
  }

  /** The status that a command fails with, as nvme-cli prints it. */
  async function failure(command: string): Promise<string> {
    const { status, stdout } = await guest.run(`nvme ${command} 2>&1 >/dev/null`);
    expect(status, stdout).toBe(1);
    return /NVMe status: ([^:]*):/.exec(stdout)?.[1] ?? stdout;
  }

  test.each([controller, disk])('smartctl -x %s tells what it is, and finds no fault', async (device) => {
    const said = await guest.check(`smartctl -x ${device}`);
    expect(said).toMatch(/Model Number: +Sidecard NVMe Controller/);
    expect(said).toMatch(/NVMe Version: +2\.0/);
    if (device === disk) expect(said).toMatch(/Namespace 1 Size\/Capacity: +1,073,741,824/);
    expect(said).toMatch(/self-assessment test result: PASSED/);
    expect(said).toMatch(/Critical Warning: +0x00/);
    expect(said).toMatch(/Media and Data Integrity Errors: +0\n/);
    expect(said).not.toMatch(/failed|error:|timeout/i);
  });

  test('the controller, its registers and its namespace agree', async () => {
    const identity = await json(`id-ctrl ${controller}`);
    const registers = await json<{ cc: number }>(`show-regs ${controller}`);
    const space = await json<{ nguid: string; eui64: string }>(`id-ns ${disk}`);
    expect(identity).toMatchObject({ ver: 0x2_0000 });
    expect(registers).toMatchObject({ vs: 0x2_0000, csts: 1 });
    expect(registers.cc & 1).toBe(1);
    expect(identity).toMatchObject({ cntrltype: 1, cntlid: 0 });
    expect(space).toMatchObject({ nsze: 2 ** 30 / 512, ncap: 2 ** 30 / 512 });
    expect(await json(`list-ns ${controller}`)).toEqual({ nsid_list: [{ nsid: 1 }] });
    expect(await guest.check(`nvme get-ns-id ${disk}`)).toContain('namespace-id:1');
    const identifiers = await guest.check(`nvme ns-descs ${disk}`);
    expect(identifiers).toContain(space.nguid);
    expect(identifiers).toContain(space.eui64);
    expect(identifiers).toContain(await guest.check(`cat /sys/block/nvme0n1/uuid`));
  });

  test.each([
    'list',
    'list-subsys',
    'show-topology',
    `nvm-id-ctrl ${controller}`,
    `nvm-id-ns ${disk}`,
    `cmdset-ind-id-ns ${disk}`,
    `list-ctrl ${controller}`,
    `list-ctrl ${controller} --namespace-id=1`,
  ])('nvme %s answers', async (command) => {
    expect(Object.keys(await json(command)).length).toBeGreaterThan(0);
  });

  test.each([
    'supported-log-pages',
    'error-log',
    'smart-log',
    'fw-log',
    'changed-ns-list-log',
    'effects-log',
    'fid-support-effects-log',
    'mi-cmd-support-effects-log',
  ])('nvme %s answers', async (command) => {
    expect(await json(`${command} ${controller}`)).toBeTypeOf('object');
  });

  test('every log page that it says it has is there, and no other', async () => {
    const { supported_logs } = await json<{ supported_logs: object[] }>(`supported-log-pages ${controller}`);
    const pages = Object.keys(Object.assign({}, ...supported_logs)).map((key) => Number(key.replace('lid_', '')));
    expect(pages).toEqual(expect.arrayContaining([0, 1, 2, 3, 4, 5, 0x12]));
    const get = (page: number): string => `nvme get-log ${controller} --log-id=${page} --log-len=512 --raw-binary`;
    for (const page of pages) expect(await guest.check(`${get(page)} | wc -c`)).toBe('512');
    const absent = [0x06, 0x0c, 0x70, 0x81, 0xc0].filter((page) => !pages.includes(page));
    for (const page of absent) expect(await failure(get(page).slice(5))).toBe('Invalid Log Page');
  });

  test('every feature that it says it has can be read in all ways, and set to what it is', async () => {
    const { fid_support } = await json<{ fid_support: object[] }>(`fid-support-effects-log ${controller}`);
    const features = Object.keys(Object.assign({}, ...fid_support)).map((key) => Number(key.replace('fid_', '')));
    expect(features).toEqual(expect.arrayContaining([1, 2, 4, 5, 6, 7, 8, 9, 10, 11]));
    for (const id of features) await readAndSet(id);
    const absent = [0x03, 0x0d, 0x7c, 0xc0].filter((id) => !features.includes(id));
    for (const id of absent)
      expect(await failure(`get-feature ${controller} -f ${id}`)).toBe('Invalid Field in Command');
  });

  /** Current, default, saved and capabilities; then the current value again, saved where it can be. */
  async function readAndSet(id: number): Promise<void> {
    const feature = `${ofNamespace.includes(id) ? disk : controller} --feature-id=${id}`;
    const got = await guest.check(
      `for select in 1 2 3 0; do nvme get-feature ${feature} --sel=$select || exit 1; done`,
    );
    const sizeBytes = inMemory[id];
    if (sizeBytes !== undefined) {
      await guest.check(`nvme get-feature ${feature} --data-len=${sizeBytes} --raw-binary >/tmp/value &&
        [ $(wc -c </tmp/value) = ${sizeBytes} ] &&
        nvme set-feature ${feature} --data-len=${sizeBytes} --data=/tmp/value`);
      return;
    }
    const value = /Current value:(\w+)/.exec(got)?.[1] as string;
    const set = `set-feature ${feature} --value=0x${value.replace('0x', '')}`;
    if (id === settled) expect(await failure(set)).toBe('Command Sequence Error');
    else await guest.check(`nvme ${set}`);
  }

  test('the timestamp runs on from what it is set to', async () => {
    await guest.check(`nvme set-feature ${controller} --feature-id=0x0e --value=1000000000000`);
    const read = await guest.check(`nvme get-feature ${controller} --feature-id=0x0e --human-readable`);
    const passed = Number(/The timestamp is : (\d+)/.exec(read)?.[1]) - 1e12;
    expect(passed).toBeGreaterThanOrEqual(0);
    expect(passed).toBeLessThan(60_000);
  });

  test('the write cache goes off and on', async () => {
    const cache = `--feature-id=6`;
    await guest.check(`nvme set-feature ${controller} ${cache} --value=0`);
    expect(await guest.check(`nvme get-feature ${controller} ${cache}`)).toContain('Current value:00000000');
    const written = await writeRandom(guest, disk, 8, 2);
    expect(await readDigest(guest, disk, 8, 2)).toBe(written);
    await guest.check(`nvme set-feature ${controller} ${cache} --value=1`);
  });

  test('write, read and compare', async () => {
    const blocks = '--start-block=100 --block-count=7 --data-size=4096';
    await guest.check(`head -c 4096 /dev/urandom >/tmp/data; nvme write ${disk} ${blocks} --data=/tmp/data
      nvme read ${disk} ${blocks} --data=/tmp/read && cmp /tmp/data /tmp/read
      nvme compare ${disk} ${blocks} --data=/tmp/data`);
    await guest.check(`nvme write ${disk} ${blocks} --data=/tmp/data --force-unit-access`);
    expect(await failure(`compare ${disk} ${blocks.replace('100', '101')} --data=/tmp/data`)).toBe('Compare Failure');
  });

  test('write-zeroes and dsm zero what they name', async () => {
    const isZero = (block: number): string =>
      `dd if=${disk} skip=${block} count=8 iflag=direct status=none | tr -d '\\0' | wc -c`;
    for (const [block, command] of [
      [2048, `write-zeroes ${disk} --start-block=2048 --block-count=7`],
      [6144, `write-zeroes ${disk} --start-block=6144 --block-count=7 --deac`],
      [4096, `dsm ${disk} --ad --slbs=4096 --blocks=8`],
    ] as const) {
      await writeRandom(guest, disk, block / 2048, 1);
      await guest.check(`nvme ${command}`);
      expect(await guest.check(isZero(block))).toBe('0');
      expect(Number(await guest.check(isZero(block + 8)))).toBeGreaterThan(4000);
    }
  });

  test('nvme id-iocs has the NVM command set alone', async () => {
    expect(await guest.check(`nvme id-iocs ${controller}`)).toMatch(/Combination\[0\]:1$/);
  });

  test('copy', async () => {
    const written = await writeRandom(guest, disk, 32, 1);
    // Two ranges, turned round.
    const ranges = `--slbs=${32 * 2048 + 1024},${32 * 2048} --blocks=1023,1023`;
    await guest.check(`nvme copy ${disk} --sdlba=${40 * 2048} ${ranges}`);
    const half = (skip: number): string => `dd if=${disk} bs=512K skip=${skip} count=1 iflag=direct status=none`;
    expect(await guest.check(`{ ${half(81)}; ${half(80)}; } | sha256sum | cut -d ' ' -f 1`)).toBe(written);
  });

  test('verify reads what is there, and write-uncor what is not any more, until it is written again', async () => {
    const blocks = `--start-block=${48 * 2048} --block-count=7`;
    await writeRandom(guest, disk, 48, 1);
    await guest.check(`nvme verify ${disk} ${blocks}`);
    await guest.check(`nvme write-uncor ${disk} ${blocks}`);
    expect(await failure(`verify ${disk} ${blocks}`)).toBe('Unrecovered Read Error');
    expect(await failure(`read ${disk} ${blocks} --data-size=4096 --data=/dev/null`)).toBe('Unrecovered Read Error');
    // The block layer sees it, too: a medium error is EIO.
    const { status, stdout } = await guest.run(
      `dd if=${disk} of=/dev/null skip=${48 * 2048} count=8 iflag=direct 2>&1`,
    );
    expect([status, stdout]).toEqual([1, expect.stringContaining('error')]);
    const around = `dd if=${disk} of=/dev/null skip=${48 * 2048 + 8} count=8 iflag=direct status=none`;
    await guest.check(around);
    const written = await writeRandom(guest, disk, 48, 1);
    expect(await readDigest(guest, disk, 48, 1)).toBe(written);
    await guest.check(`nvme verify ${disk} ${blocks}`);
  });

  test('flush', async () => {
    await guest.check(`nvme flush ${disk}`);
  });

  test('commands passed through', async () => {
    const written = await writeRandom(guest, disk, 4, 1);
    const read = `nvme io-passthru ${disk} --opcode=2 --namespace-id=1 --read --raw-binary 2>/dev/null`;
    // 4 commands of 256 KiB.
    const parts = [0, 1, 2, 3].map((part) => `${read} --data-len=262144 --cdw10=${4 * 2048 + part * 512} --cdw12=511`);
    expect(await guest.check(`{ ${parts.join('; ')}; } | sha256sum | cut -d ' ' -f 1`)).toBe(written);
    const identify = `nvme admin-passthru ${controller} --opcode=6 --cdw10=1 --data-len=4096 --read --raw-binary 2>/dev/null`;
    expect(await guest.check(`${identify} | head -c 64 | tail -c 40`)).toBe('Sidecard NVMe Controller');
    expect(await failure(`io-passthru ${disk} --opcode=0xfe --namespace-id=1`)).toBe('Invalid Command Opcode');
    expect(await failure(`admin-passthru ${controller} --opcode=0xfe`)).toBe('Invalid Command Opcode');
    const beyond = `io-passthru ${disk} --opcode=2 --namespace-id=1 --read --data-len=4096 --cdw10=0x200000 --cdw12=7`;
    expect(await failure(beyond)).toBe('LBA Out of Range');
  });

  test('what failed is in the error log, newest first', async () => {
    const { errors } = await json<{ errors: object[] }>(`error-log ${controller}`);
    expect(errors[0]).toMatchObject({ lba: 0x20_0000, nsid: 1 });
    expect(
      Number((await json<{ num_err_log_entries: number }>(`smart-log ${controller}`)).num_err_log_entries),
    ).toBeGreaterThan(0);
  });

  test('reset and rescan', async () => {
    await guest.check(`nvme reset ${controller} && nvme ns-rescan ${controller}`);
    await until(guest, '[ "$(cat /sys/class/nvme/nvme0/state)" = live ]');
    await until(guest, `nvme id-ns ${disk} >/dev/null`);
  });

  describe('subsystem-reset, which the driver does without telling itself', () => {
    test('leaves a controller that nvme reset brings back', async () => {
      const written = await writeRandom(guest, disk, 16, 2);
      await guest.check(`nvme subsystem-reset ${controller}`);
      expect(await json(`show-regs ${controller}`)).toMatchObject({ csts: subsystemReset, nssr: 0 });
      await guest.check(`nvme reset ${controller}`);
      expect(await json(`show-regs ${controller}`)).toMatchObject({ csts: 1 });
      expect(await readDigest(guest, disk, 16, 2)).toBe(written);
    });

    test('or that comes back once a command has met its time limit', async () => {
      const written = await writeRandom(guest, disk, 16, 2);
      // 30 s otherwise.
      await guest.check('echo 3000 >/sys/block/nvme0n1/queue/io_timeout');
      await guest.check(`nvme subsystem-reset ${controller}`);
      expect(await readDigest(guest, disk, 16, 2)).toBe(written);
      await guest.check('echo 30000 >/sys/block/nvme0n1/queue/io_timeout');
    });

    test('loses nothing that is in flight', async () => {
      const verify = '--verify=crc32c --do_verify=1 --verify_fatal=1 --minimal';
      const load = `fio --name=busy --filename=${disk} --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --iodepth=32`;
      const running = guest.check(`${load} --size=8m --loops=3 ${verify}`, { timeoutMs: 100_000 });
      const resets = `for n in 1 2 3; do sleep 0.4; nvme subsystem-reset ${controller}; nvme reset ${controller}; done`;
      await Promise.all([running, guest.check(resets)]);
    });
  });

  test('the guest has no complaint', async () => {
    const expected = [
      /controller is down; will reset: CSTS=0x10,/,
      // What write-uncor did.
      /nvme0n1: I\/O Cmd\(0x2\) @ LBA 98304, .*\(sct 0x2 \/ sc 0x81\)/,
      /critical medium error, dev nvme0n1, sector 98304 op 0x0:\(READ\)/,
    ];
    expect(await complaints(guest, expected)).toEqual([]);
  });
});

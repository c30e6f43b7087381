import { existsSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BlockBackend, openDrive, parseDrive } from '@sidecard/block';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { loadNative } from '@sidecard/native';
import { AdminOpcode, type DaemonProcess, type NvmeDriver, RecordedLog, VirtualClock } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';
import { pattern } from './machine.ts';

const mib = 1 << 20;
const blocks = { blockBytes: 512 };

let daemon: DaemonProcess;
let control: ControlClient;
let guest: Attached;
beforeEach(async () => {
  daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=1M', '--control', '{folder}/control.sock']);
  control = await openControl(join(daemon.folder, 'control.sock'));
  await control.get('/device');
  guest = await Attached.to(daemon, { memory: 'mapped', doorbells: 'trapped' });
  await guest.driver.setFeature(0x0b, 1 << 8);
});
afterEach(async () => {
  control?.close();
  guest?.close();
  expect(await daemon.stop()).toBe(0);
  await daemon.remove();
});

const at = (name: string) => join(daemon.folder, name);
const post = (drive: string, more: object = {}) => control.post('/namespaces', { drive, ...more });
const nsidsOf = (page: Uint8Array) =>
  [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter((nsid) => nsid !== 0);
/** The Changed Namespace List. */
const changed = async (driver: NvmeDriver) => nsidsOf(await driver.logPage(4, 4096));

/** The image as another process opens it. @throws where somebody has it. */
function open(path: string): BlockBackend {
  return openDrive(parseDrive(path), { native: loadNative(), log: new RecordedLog(), clock: new VirtualClock() });
}

test('an image is added, used, grown and removed: then it is durable, free for others, and nothing of it is left open', async () => {
  const { driver, queues } = guest;
  const before = daemon.holdings();
  const path = at('added.img');
  for (let round = 0; round < 3; round++) {
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    const size = round === 0 ? ',size=2M' : '';
    expect(await post(`file=${path}${size}`)).toMatchObject({
      nsid: 2,
      drive: path,
      cache: 'writeback',
      readOnly: false,
    });
    expect((await driver.admin.completion(cid)).dw0).toBe((4 << 16) | 2);
    expect(await changed(driver)).toEqual([2]);
    expect(() => open(path)).toThrow('is in use by another process');
    const sizeBytes = (round + 2) * 2 * mib;
    expect(await control.patch('/namespaces/2', { sizeBytes })).toMatchObject({ sizeBytes, blocks: sizeBytes / 512 });
    expect([await changed(driver), (await driver.identifyNamespace(2)).sizeBlocks]).toEqual([[2], sizeBytes / 512]);
    const data = pattern(4096, round);
    await driver.write(queues[0]!, 2, sizeBytes / 512 - 8, data, blocks);
    await control.delete('/namespaces/2');
    // At once.
    await open(path).close();
    const file = readFileSync(path);
    expect([file.length, file.subarray(-4096).equals(data)]).toEqual([sizeBytes, true]);
    expect(await changed(driver)).toEqual([2]);
    await expect(driver.read(queues[0]!, 2, 0, 512, blocks)).rejects.toThrow('0h/2h');
    await expect(control.get('/namespaces/2')).rejects.toThrow('there is no namespace 2');
  }
  // It took next to no room.
  expect(statSync(path).blocks).toBeLessThan(200);
  expect(daemon.holdings()).toEqual(before);
});

test('the drive of the command line is removed, and added again', async () => {
  const { driver, queues } = guest;
  const data = pattern(4096);
  await driver.write(queues[0]!, 1, 0, data, blocks);
  await control.delete('/namespaces/1');
  expect(await control.get('/namespaces')).toEqual([]);
  expect((await driver.identifyController()).raw.subarray(4, 24)).toEqual((await driver.identify(1)).subarray(4, 24));
  await open(at('disk.img')).close();
  expect(await changed(driver)).toEqual([1]);
  expect(await post(at('disk.img'))).toMatchObject({ nsid: 1, blocks: 2048 });
  expect(await driver.read(queues[0]!, 1, 0, 4096, blocks)).toEqual(data);
});

test('what cannot be is refused, in one line, and nothing has changed', async () => {
  writeFileSync(at('odd.img'), new Uint8Array(1000));
  writeFileSync(at('tiny.img'), new Uint8Array(100));
  writeFileSync(at('used.img'), new Uint8Array(mib));
  writeFileSync(at('formatted.img'), new Uint8Array(mib));
  writeFileSync(at('formatted.img.nvme.json'), '{"version":1,"lbaBytes":4096}');
  writeFileSync(at('noted.img'), new Uint8Array(mib));
  writeFileSync(at('noted.img.nvme.json'), '?');
  symlinkSync(at('disk.img'), at('link.img'));
  const held = open(at('used.img'));
  const before = daemon.holdings();
  const disk = at('disk.img');
  for (const [drive, status, reason] of [
    ['', 400, '--drive : no file'],
    [`${disk},size=1000`, 400, `--drive ${disk},size=1000: the size is not a multiple of the block, 512 bytes`],
    [at('missing.img'), 409, `drive ${at('missing.img')}: no such file (with size= it is created)`],
    [`${at('nowhere/x')},size=1M`, 409, `drive ${at('nowhere/x')}: ENOENT: no such file or directory`],
    [daemon.folder, 409, `drive ${daemon.folder}: is a directory`],
    ['/dev/null', 409, 'drive /dev/null: is neither a file nor a block device'],
    [at('tiny.img'), 409, `drive ${at('tiny.img')}: is smaller than a block of 512 bytes`],
    [at('used.img'), 409, `drive ${at('used.img')}: is in use by another process`],
    [`${at('used.img')},size=2M`, 409, `drive ${at('used.img')}: is in use by another process`],
    [disk, 409, `--drive: ${disk} is given twice: namespace 1 has it`],
    [at('link.img'), 409, `--drive: ${at('link.img')} is given twice: namespace 1 has it`],
    [
      `${at('formatted.img')},lba=512`,
      409,
      `${at('formatted.img')}: was formatted to blocks of 4096 bytes, not 512 (leave lba= out to take it as it is)`,
    ],
    [at('noted.img'), 409, `${at('noted.img')}.nvme.json: is no JSON`],
    ['mem:1M\0readonly', 400, '--drive mem:1M\0readonly: a zero byte'],
    [`${at('vast.img')},size=7P`, 507, `drive ${at('vast.img')}: EFBIG: file too large`],
    ['mem:17T', 400, '--drive mem:17T: mem: is 16T at most'],
  ] as const) {
    await expect(post(drive), drive).rejects.toMatchObject({ status, message: reason });
  }
  // One that is made for nothing is not left behind.
  writeFileSync(at('made.img.nvme.json'), '?');
  await expect(post(`${at('made.img')},size=1M`)).rejects.toThrow('is no JSON');
  expect(existsSync(at('made.img'))).toBe(false);
  await expect(control.post('/namespaces', {})).rejects.toThrow("must have required property 'drive'");
  await expect(post('mem:1M', { nsid: 0 })).rejects.toThrow('must be >= 1');
  await expect(control.patch('/namespaces/1', { sizeBytes: 100 })).rejects.toThrow('must be >= 512');
  await expect(control.delete('/namespaces/4294967295')).rejects.toThrow('must be <= 4294967294');
  expect(await control.get('/namespaces')).toMatchObject([{ nsid: 1 }]);
  expect(daemon.holdings()).toEqual(before);
  await held.close();
  expect(await post(at('odd.img'))).toMatchObject({ nsid: 2, blocks: 1, sizeBytes: 512 });
  expect(await post(at('formatted.img'))).toMatchObject({ nsid: 3, blockBytes: 4096 });
});

test('an image that somebody grows is measured again, and what is in it is not cut off by mistake', async () => {
  truncateSync(at('disk.img'), 4 * mib);
  await expect(control.patch('/namespaces/1', { sizeBytes: 2 * mib })).rejects.toMatchObject({
    status: 409,
    message: `drive ${at('disk.img')}: its file is 4 MiB large by now: measure it again first`,
  });
  expect(await control.post('/namespaces/1/remeasure')).toMatchObject({ blocks: 8192 });
  expect(await changed(guest.driver)).toEqual([1]);
  await expect(control.patch('/namespaces/1', { sizeBytes: 2 * mib, shrink: true })).rejects.toMatchObject({
    status: 409,
  });
  await control.post('/namespaces/1/detach');
  expect(await control.patch('/namespaces/1', { sizeBytes: 2 * mib, shrink: true })).toMatchObject({ blocks: 4096 });
  expect(statSync(at('disk.img')).size).toBe(2 * mib);
  await control.post('/namespaces/1/attach');
});

test('metrics: by namespace and direction, errors, queues, resets', async () => {
  const { driver, queues } = guest;
  const samples = async () => {
    const text = (await control.get('/metrics')) as string;
    const lines = text.split('\n').filter((line) => line.startsWith('sidecard_nvme_'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    );
  };
  await post('mem:1M');
  const before = await samples();
  await driver.write(queues[0]!, 1, 0, pattern(4096), blocks);
  await driver.read(queues[0]!, 2, 0, 8192, blocks);
  await driver.read(queues[0]!, 2, 0, 512, blocks);
  await expect(driver.read(queues[0]!, 2, 9999, 512, blocks)).rejects.toThrow();
  await expect(driver.read(queues[0]!, 9, 0, 512, blocks)).rejects.toThrow();
  const after = await samples();
  const rises = [...after].flatMap(([name, value]) => {
    const rise = value - (before.get(name) ?? 0);
    return rise === 0 || name.includes('busy') ? [] : [[name.replace('sidecard_nvme_', ''), rise]];
  });
  const disk = `{nsid="1",drive="${at('disk.img')}"}`;
  const memory = '{nsid="2",drive="memory, 1 MiB"}';
  expect(Object.fromEntries(rises)).toEqual({
    failed_commands_total: 2,
    error_log_entries_total: 2,
    [`read_commands_total${memory}`]: 2,
    [`read_bytes_total${memory}`]: 8704,
    [`write_commands_total${disk}`]: 1,
    [`written_bytes_total${disk}`]: 4096,
    [`namespace_failed_commands_total${memory}`]: 1,
  });
  expect([after.get('sidecard_nvme_io_queues'), after.get('sidecard_nvme_ready')]).toEqual([2, 1]);
  await driver.disable();
  const down = await samples();
  expect([down.get('sidecard_nvme_io_queues'), down.get('sidecard_nvme_ready')]).toEqual([0, 0]);
  expect(down.get('sidecard_nvme_resets_total')! - after.get('sidecard_nvme_resets_total')!).toBe(1);
  expect(down.get(`sidecard_nvme_namespace_size_bytes${disk}`)).toBe(mib);
});

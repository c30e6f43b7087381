import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { type DaemonProcess, NvmOpcode } from '@sidecard/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';

const route = '/namespaces/1/limits';
const none = { iops: null, bytesPerSecond: null };

let daemon: DaemonProcess;
let control: ControlClient;
beforeAll(async () => {
  const drives = ['mem:16M,iops=200,bps=1.5M', 'mem:16M'].flatMap((drive) => ['--drive', drive]);
  daemon = await startNvme([...drives, '--control', '{folder}/control.sock']);
  control = await openControl(join(daemon.folder, 'control.sock'));
});
afterAll(async () => {
  control.close();
  expect(await daemon.stop()).toBe(0);
  await daemon.remove();
});

async function metric(name: string, nsid: number, of = control): Promise<number> {
  const text = (await of.get('/metrics')) as string;
  return Number(new RegExp(`^sidecard_nvme_${name}\\{nsid="${nsid}"\\} (.*)$`, 'm').exec(text)?.[1]);
}

test('limits are what --drive says, then what is asked for; what is not given stays', async () => {
  expect(await control.get(route)).toEqual({ iops: 200, bytesPerSecond: 1.5 * 2 ** 20 });
  expect(await control.get('/namespaces/2/limits')).toEqual(none);
  expect(await control.patch(route, { iops: 7 })).toEqual({ iops: 7, bytesPerSecond: 1.5 * 2 ** 20 });
  expect(await control.patch(route, { bytesPerSecond: null })).toEqual({ iops: 7, bytesPerSecond: null });
  expect([await metric('limit_iops', 1), await metric('limit_bytes_per_second', 1)]).toEqual([7, Number.NaN]);
  expect(await control.patch(route, { iops: 0, bytesPerSecond: 0 })).toEqual(none);
  expect(await control.get(route)).toEqual(none);
});

test.each([
  [{}, 'must NOT have fewer than 1 properties'],
  [{ iops: -1 }, '/iops must be >= 0'],
  [{ iops: 0.5 }, '/iops must be integer'],
  [{ iops: '100' }, '/iops must be integer,null'],
  [{ iops: true }, '/iops must be integer,null'],
  [{ bytesPerSecond: 1e300 }, '/bytesPerSecond must be'],
  [{ bytesPerSecond: -0.1 }, '/bytesPerSecond must be'],
  [{ iops: 100, bps: 5 }, 'must NOT have additional properties: bps'],
  [[], 'must be object'],
  [null, 'must be object'],
])('%j is refused, and nothing changes', async (body, reason) => {
  await control.patch(route, { iops: 123, bytesPerSecond: 456 });
  const error = await control.patch(route, body).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'ControlError', status: 400, message: expect.stringContaining(reason) });
  expect(await control.get(route)).toEqual({ iops: 123, bytesPerSecond: 456 });
});

test('of a namespace that is not there, or none at all', async () => {
  for (const [nsid, status] of [
    ['3', 404],
    ['4294967294', 404],
    ['0', 400],
    ['x', 400],
  ] as const) {
    await expect(control.get(`/namespaces/${nsid}/limits`)).rejects.toMatchObject({ status });
    await expect(control.patch(`/namespaces/${nsid}/limits`, { iops: 1 })).rejects.toMatchObject({ status });
  }
  await expect(control.put(route, none)).rejects.toMatchObject({ status: 405 });
});

test('a daemon that is told to end while commands wait does so', async () => {
  const other = await startNvme(['--drive', 'mem:16M,iops=1', '--control', '{folder}/control.sock']);
  const guest = await Attached.to(other, { memory: 'mapped', doorbells: 'trapped', interrupts: 'polled' });
  const prp1 = guest.ram.allocate(4096);
  for (let index = 0; index < 100; index++) guest.queues[1]!.push({ opcode: NvmOpcode.read, nsid: 1, prp1 });
  guest.queues[1]!.ring();
  const client = await openControl(join(other.folder, 'control.sock'));
  while ((await metric('limit_waiting_commands', 1, client)) < 99) guest.port.turn();
  client.close();
  expect(await other.stop()).toBe(0);
  guest.close();
  await other.remove();
});

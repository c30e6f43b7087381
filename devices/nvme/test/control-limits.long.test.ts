import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { blockCommand, type DaemonProcess, NvmOpcode, until } from '@sidecard/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Attached, type AttachOptions } from './attached.ts';
import { startNvme } from './daemon.ts';

const route = '/namespaces/1/limits';
const none = { iops: null, bytesPerSecond: null };

let daemon: DaemonProcess;
let control: ControlClient;
beforeAll(async () => {
  daemon = await startNvme(['--drive', 'mem:16M', '--drive', 'mem:16M', '--control', '{folder}/control.sock']);
  control = await openControl(join(daemon.folder, 'control.sock'));
});
afterAll(async () => {
  control.close();
  expect(await daemon.stop()).toBe(0);
  await daemon.remove();
});

const guests: Attached[] = [];
afterEach(() => {
  for (const guest of guests.splice(0)) guest.close();
});
async function attach(memory: AttachOptions['memory'] = 'mapped'): Promise<Attached> {
  const guest = await Attached.to(daemon, { memory, doorbells: 'trapped', interrupts: 'polled' });
  guests.push(guest);
  return guest;
}

/** Keeps 32 reads of a block under way until `done`. How many have ended. */
async function load(guest: Attached, nsid: number, done: () => boolean): Promise<number> {
  const { ram, port, queues } = guest;
  const queue = queues[1]!;
  const prp1 = ram.allocate(4096);
  const cids = new Set<number>();
  let count = 0;
  while (!done()) {
    while (cids.size < 32) {
      cids.add(queue.push({ ...blockCommand(NvmOpcode.read, nsid, 0, 512, { blockBytes: 512 }), prp1 }));
    }
    queue.ring();
    await until(port, () => done() || [...cids].some((cid) => queue.poll(cid) !== null), 'a read to end', 10_000);
    for (const cid of cids) {
      if (queue.poll(cid) === null) continue;
      expect((await queue.completion(cid)).status).toBe(0);
      cids.delete(cid);
      count++;
    }
  }
  for (const cid of cids) expect((await queue.completion(cid, 30_000)).status).toBe(0);
  return count + cids.size;
}

async function metric(name: string, nsid: number, of = control): Promise<number> {
  const text = (await of.get('/metrics')) as string;
  return Number(new RegExp(`^sidecard_nvme_${name}\\{nsid="${nsid}"\\} (.*)$`, 'm').exec(text)?.[1]);
}

test('a guest at work feels each change at once, and is counted', async () => {
  const guest = await attach();
  await control.patch(route, { iops: 50, bytesPerSecond: null });
  const delayed = await metric('limit_delayed_commands_total', 1);
  const start = performance.now();
  // 3 s in all at 50, 500 and 50 a second.
  const changes = (async () => {
    for (const [iops, afterMs] of [
      [500, 1000],
      [50, 2000],
    ] as const) {
      await new Promise((resolve) => setTimeout(resolve, start + afterMs - performance.now()));
      await control.patch(route, { iops });
    }
    expect(await metric('limit_waiting_commands', 1)).toBeGreaterThan(20);
  })();
  const count = await load(guest, 1, () => performance.now() - start > 3000);
  await changes;
  const seconds = (performance.now() - start) / 1000;
  expect(count).toBeLessThanOrEqual((50 * (seconds - 1) + 500) * 1.1 + 32);
  expect(count).toBeGreaterThanOrEqual(600 * 0.7);
  expect((await metric('limit_delayed_commands_total', 1)) - delayed).toBeGreaterThan(count / 2);
  expect(await metric('limit_delay_seconds_total', 1)).toBeGreaterThan(30);
  expect(await metric('limit_delayed_commands_total', 2)).toBe(0);
}, 30_000);

test('while it waits the daemon does next to nothing', async () => {
  const guest = await attach();
  await control.patch(route, { iops: 10, bytesPerSecond: null });
  const end = performance.now() + 2000;
  const before = daemon.cpuNs();
  await load(guest, 1, () => performance.now() > end);
  // Of some 5 s, the last of which are for those that still wait.
  expect((daemon.cpuNs() - before) / 1e9).toBeLessThan(0.25);
}, 30_000);

test.each(['mapped', 'messages'] as const)(
  'limits change a thousand times under load, %s memory',
  async (memory) => {
    const guest = await attach(memory);
    let changed = 0;
    let failed: unknown = null;
    const changes = (async () => {
      for (; changed < 1000; changed++) {
        const iops = changed % 3 === 0 ? null : 100 + ((changed * 7919) % 50_000);
        await control.patch(route, {
          iops,
          bytesPerSecond: changed % 5 === 0 ? null : 100_000 + ((changed * 104_729) % 10_000_000),
        });
      }
    })().catch((error: unknown) => {
      failed = error;
    });
    const count = await load(guest, 1, () => changed === 1000 || failed !== null);
    await changes;
    expect(failed).toBe(null);
    expect(count).toBeGreaterThan(100);
    expect(guest.queues[1]!.strays).toEqual([]);
    await control.patch(route, none);
    await guest.driver.flush(guest.queues[0]!, 1);
  },
  60_000,
);

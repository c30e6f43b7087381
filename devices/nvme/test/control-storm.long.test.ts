import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ControlClient, type ControlError, openControl } from '@sidecard/daemon';
import { type DaemonProcess, generator } from '@sidecard/testing';
import { afterEach, expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';
import { Storm } from './storm.ts';

const mib = 1 << 20;

let daemon: DaemonProcess;
let control: ControlClient;
let guest: Attached;
afterEach(async () => {
  control?.close();
  guest?.close();
  await daemon.remove();
});

test.each([
  { memory: 'mapped', doorbells: 'shadow', cache: 'writeback' },
  { memory: 'mapped', doorbells: 'trapped', cache: 'none' },
  { memory: 'messages', doorbells: 'trapped', cache: 'writethrough' },
] as const)(
  'a daemon full of I/O while images come, grow and go, $memory memory, $doorbells doorbells, cache=$cache',
  async ({ memory, doorbells, cache }) => {
    daemon = await startNvme([
      '--drive',
      `file={folder}/disk.img,size=2M,cache=${cache}`,
      '--control',
      '{folder}/control.sock',
    ]);
    control = await openControl(join(daemon.folder, 'control.sock'));
    await control.get('/device');
    guest = await Attached.to(daemon, { memory, doorbells });
    const path = join(daemon.folder, 'coming.img');
    await control.post('/namespaces', { drive: `file=${path},size=2M,cache=${cache}`, nsid: 2 });
    await control.delete('/namespaces/2');
    // Connections to the control socket come and go.
    const held = () => daemon.holdings().fds.filter((fd) => !fd.startsWith('socket:'));
    const before = held();
    const random = generator(3);
    const storm = new Storm(guest.driver, guest.queues[1]!, { staying: [1], coming: [2], random });
    let sizeBytes = 2 * mib;
    const grown = () => {
      sizeBytes += mib;
      return control.patch('/namespaces/1', { sizeBytes });
    };
    const requests = [
      () => control.post('/namespaces', { drive: `file=${path},cache=${cache}`, nsid: 2 }),
      () => control.delete('/namespaces/2'),
      grown,
      () => control.post('/namespaces/2/detach'),
      () => control.post('/namespaces/2/attach'),
      () => control.post('/namespaces', { drive: 'mem:1M', nsid: 3 }),
      () => control.delete('/namespaces/3'),
    ];
    let refused = 0;
    for (let round = 0; round < 150; round++) {
      // Two at the same time.
      const asked = [0, 1].map(async () => {
        try {
          await requests[Math.floor(random() * requests.length)]!();
        } catch (error) {
          expect([404, 409]).toContain((error as ControlError).status);
          refused++;
        }
        return true;
      });
      let answered = false;
      Promise.all(asked).then(
        () => {
          answered = true;
        },
        () => {},
      );
      await storm.until(() => answered, 'answers');
      if (round % 30 === 29) {
        await guest.start();
        storm.reset(guest.queues[1]!);
      }
    }
    await storm.settle();
    expect(storm.count(1, 0)).toBeGreaterThan(1000);
    expect([storm.count(2, 0) > 50, storm.count(2, 2) > 50, refused > 20]).toEqual([true, true, true]);
    for (const nsid of [2, 3]) await control.delete(`/namespaces/${nsid}`).catch(() => {});
    // What was acknowledged last is what is in the image, which is nobody's now.
    const bytes = readFileSync(path);
    storm.values(2).forEach((values, slot) => {
      expect([slot, values]).toEqual([slot, expect.arrayContaining([bytes[slot * 4096]])]);
    });
    await guest.start();
    expect(held()).toEqual(before);
    expect(await daemon.stop()).toBe(0);
  },
);

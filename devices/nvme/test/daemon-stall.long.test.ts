import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openControl } from '@sidecard/daemon';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';
import { pattern } from './machine.ts';

const folder = mkdtempSync(join(tmpdir(), 'nvme-frozen-'));
const image = `${folder}/fs.img`;
const mounted = `${folder}/mounted`;
const tool = (name: string, ...args: string[]) => execFileSync(name, args, { stdio: 'ignore' });

/** A file system that can be frozen: its writers then wait, as on a disk that hangs. It wants privileges. */
function mount(): boolean {
  try {
    writeFileSync(image, '');
    truncateSync(image, 32 * 1024 * 1024);
    tool('mkfs.ext4', '-q', image);
    tool('mkdir', mounted);
    tool('mount', '-o', 'loop', image, mounted);
    return true;
  } catch {
    rmSync(folder, { recursive: true });
    return false;
  }
}

describe.skipIf(!mount())('a daemon whose disk hangs', () => {
  const cleanUp: (() => unknown)[] = [];
  let frozen = false;

  const freeze = () => {
    tool('fsfreeze', '--freeze', mounted);
    frozen = true;
  };
  const thaw = () => {
    if (frozen) tool('fsfreeze', '--unfreeze', mounted);
    frozen = false;
  };
  afterEach(async () => {
    thaw();
    for (const step of cleanUp.splice(0).reverse()) await step();
  });
  afterAll(() => {
    tool('umount', '--lazy', mounted);
    rmSync(folder, { recursive: true });
  });

  test('on-stall=error: the guest is told in time, although everybody sleeps, and goes on', async () => {
    const daemon = await startNvme(['--drive', `${mounted}/disk.img,size=4M,on-stall=error,after=2s`]);
    cleanUp.push(() => daemon.remove());
    const guest = await Attached.to(daemon, { memory: 'mapped', doorbells: 'trapped', interrupts: 'msix' });
    cleanUp.push(() => guest.close());
    const { driver, queues } = guest;
    const options = { blockBytes: 512 };
    await driver.write(queues[1]!, 1, 0, pattern(4096, 1), options);
    await driver.flush(queues[1]!, 1);
    freeze();
    await expect(driver.write(queues[1]!, 1, 0, pattern(4096, 2), options)).rejects.toThrow('0h/82h');
    // Registers answer, and a reset of the controller is as quick as ever.
    await guest.start();
    await expect(driver.write(guest.queues[1]!, 1, 0, pattern(4096, 3), options)).rejects.toThrow('0h/82h');
    thaw();
    const data = pattern(4096, 4);
    await driver.write(guest.queues[1]!, 1, 0, data, options);
    expect(await driver.read(guest.queues[1]!, 1, 0, 4096, options)).toEqual(data);
    guest.close();
    expect(await daemon.stop()).toBe(0);
    const said = daemon.log.split('\n').filter((line) => line.includes('/disk.img"'));
    expect(said.map((line) => JSON.parse(line).msg)).toEqual([
      'has not answered for 2 s: requests fail, and it gets nothing new before all that it has has ended',
      'answers again',
    ]);
  }, 60_000);

  test.each(['wait', 'error,after=1s'])(
    'drives on it are added, resized and removed by the control socket: each waits for the disk, and nobody for it (on-stall=%s)',
    async (stall) => {
      const daemon = await startNvme(['--drive', 'mem:1M', '--control', '{folder}/control.sock']);
      cleanUp.push(() => daemon.remove());
      const control = await openControl(join(daemon.folder, 'control.sock'));
      cleanUp.push(() => control.close());
      const guest = await Attached.to(daemon, { memory: 'mapped', doorbells: 'trapped' });
      cleanUp.push(() => guest.close());
      const { driver, queues } = guest;
      const [queue] = queues;
      const options = { blockBytes: 512 };
      const post = (name: string) =>
        control.post('/namespaces', { drive: `file=${mounted}/${name}.img,size=1M,on-stall=${stall}` });
      await post('removed');
      await post('grown');
      expect(await control.get('/namespaces')).toMatchObject([{ nsid: 1 }, { nsid: 2 }, { nsid: 3 }]);
      await driver.write(queue!, 2, 0, pattern(4096, 1), options);
      freeze();
      const written = driver.command(queue!, { opcode: 1, nsid: 2, prp1: driver.ram.allocate(4096), cdw10: 8 });
      const ended: string[] = [];
      const asked = {
        removed: control.delete('/namespaces/2'),
        grown: control.patch('/namespaces/3', { sizeBytes: 2 << 20 }),
        added: post('added'),
      };
      for (const [name, work] of Object.entries(asked)) {
        work.then(
          () => ended.push(name),
          (error) => ended.push(`${name}: ${error}`),
        );
      }
      written.catch(() => {});
      for (const end = Date.now() + 3000; Date.now() < end; ) {
        const data = pattern(4096, 5);
        await driver.write(queue!, 1, 0, data, options);
        expect(await driver.read(queue!, 1, 0, 4096, options)).toEqual(data);
        expect(((await control.get('/namespaces/2')) as { state: string }).state).toBe('removing');
      }
      expect(ended).toEqual([]);
      thaw();
      await Promise.all(Object.values(asked));
      if (stall === 'wait') expect((await written).status).toBe(0);
      else await expect(written).rejects.toThrow('0h/82h');
      expect(await control.get('/namespaces')).toMatchObject([
        { nsid: 1 },
        { nsid: 3, blocks: 4096 },
        { nsid: expect.any(Number), drive: `${mounted}/added.img`, attached: true },
      ]);
      control.close();
      guest.close();
      expect(await daemon.stop()).toBe(0);
      for (const name of ['removed', 'grown', 'added']) rmSync(`${mounted}/${name}.img`);
    },
    60_000,
  );
});

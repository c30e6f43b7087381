import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  attachNamespace,
  createNamespace,
  type DaemonProcess,
  deleteNamespace,
  formatNamespace,
  generator,
  type NvmeCompletion,
} from '@sidecard/testing';
import { afterAll, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { Attached } from './attached.ts';
import { startNvme } from './daemon.ts';

const rounds = 16;
const sizeBytes = 256 * 1024;
const poolBytes = 16 * sizeBytes;
const folder = mkdtempSync(join(tmpdir(), 'nvme-crash-'));
const random = generator(17);
const pick = (count: number) => Math.floor(random() * count);

let daemon: DaemonProcess | null = null;
afterAll(async () => {
  await daemon?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** What a namespace is: that of a moment, or none. */
interface Seen {
  readonly nguid: string;
  readonly attached: boolean;
  readonly blockBytes: number;
  /** The byte that all of it has, -1 when it has several; null when nobody can read it. */
  readonly fill: number | null;
}
type World = Map<number, Seen>;

/** Right after a kill the kernel may still have I/O of the daemon before under way, whose locks it keeps as long. */
async function daemonInPool(): Promise<DaemonProcess> {
  for (let tries = 0; ; tries++) {
    try {
      return await startNvme(['--pool', `{folder}/pool,size=${poolBytes}`], folder);
    } catch (error) {
      if (tries === 50 || !String(error).includes('in use')) throw error;
      await setTimeout(20);
    }
  }
}

class Guest {
  readonly attached: Attached;

  constructor(attached: Attached) {
    this.attached = attached;
  }

  get driver() {
    return this.attached.driver;
  }

  /** All there is, as a guest sees it. */
  async look(): Promise<World> {
    const ids = (page: Uint8Array) => [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter(Boolean);
    const active = new Set(ids(await this.driver.identify(0x02, 0)));
    const world: World = new Map();
    for (const nsid of ids(await this.driver.identify(0x10, 0))) {
      // A format that the daemon before has left is gone on with.
      const deadline = Date.now() + 20_000;
      while (((await this.driver.identify(0x11, nsid))[32]! & 0x7f) !== 0) expect(Date.now()).toBeLessThan(deadline);
      const raw = await this.driver.identify(0x11, nsid);
      const blockBytes = raw[26] === 0 ? 512 : 4096;
      expect(new DataView(raw.buffer, raw.byteOffset).getUint32(0, true) * blockBytes).toBe(sizeBytes);
      const attached = active.has(nsid);
      const fill = attached ? await this.#fill(nsid, blockBytes) : null;
      world.set(nsid, { nguid: Buffer.from(raw.subarray(104, 120)).toString('hex'), attached, blockBytes, fill });
    }
    return world;
  }

  async #fill(nsid: number, blockBytes: number): Promise<number> {
    const data = await this.driver.read(this.attached.queues[0]!, nsid, 0, sizeBytes, { blockBytes });
    return data.every((byte) => byte === data[0]) ? data[0]! : -1;
  }

  async succeeds(completion: Promise<NvmeCompletion>): Promise<NvmeCompletion> {
    const ended = await completion;
    expect(ended.status).toBe(Status.success);
    return ended;
  }
}

/** One step of the guest's, and what the world may be like when it has not been answered. */
interface Step {
  readonly run: (guest: Guest) => Promise<void>;
  readonly fits: (before: World, after: World) => boolean;
}

const without = (world: World, nsid: number) => new Map([...world].filter(([other]) => other !== nsid));
const same = (a: World, b: World) =>
  a.size === b.size && [...a].every(([nsid, seen]) => b.has(nsid) && alike(seen, b.get(nsid)!));
const alike = (a: Seen, b: Seen) =>
  a.nguid === b.nguid &&
  a.attached === b.attached &&
  a.blockBytes === b.blockBytes &&
  (a.fill === b.fill || a.fill === null || b.fill === null);
const withChanges = (world: World, nsid: number, changes: Partial<Seen>) =>
  new Map([...world].map(([other, seen]) => [other, other === nsid ? { ...seen, ...changes } : seen]));

/** A random step that can be made in this world. */
function step(world: World): Step {
  const nsids = [...world.keys()];
  const nsid = nsids[pick(nsids.length)] ?? 0;
  const seen = world.get(nsid);
  const kind = pick(6);
  if (seen === undefined || (kind < 2 && nsids.length < 8)) {
    const flbas = pick(2);
    const nsze = sizeBytes / (flbas === 0 ? 512 : 4096);
    return {
      run: async (guest) => void (await guest.succeeds(createNamespace(guest.driver, { nsze, flbas }))),
      fits: (before, after) => {
        const made = [...after.keys()].filter((other) => !before.has(other));
        const [one] = made;
        if (one === undefined) return same(before, after);
        const { fill, attached, blockBytes } = after.get(one)!;
        const asAsked = fill === null && !attached && blockBytes === (flbas === 0 ? 512 : 4096);
        return made.length === 1 && asAsked && same(before, without(after, one));
      },
    };
  }
  if (kind === 2) {
    return {
      run: async (guest) => void (await guest.succeeds(deleteNamespace(guest.driver, nsid))),
      fits: (before, after) => same(before, after) || same(without(before, nsid), after),
    };
  }
  if (kind === 3) {
    const how = seen.attached ? 'detach' : 'attach';
    return {
      run: async (guest) => void (await guest.succeeds(attachNamespace(guest.driver, nsid, how))),
      fits: (before, after) =>
        same(before, after) || same(withChanges(before, nsid, { attached: !seen.attached }), after),
    };
  }
  if (kind === 4 && seen.attached) {
    const fill = 1 + pick(255);
    return {
      run: async ({ driver, attached }) => {
        const data = new Uint8Array(sizeBytes).fill(fill);
        await driver.write(attached.queues[0]!, nsid, 0, data, { blockBytes: seen.blockBytes });
        await driver.flush(attached.queues[0]!, nsid);
      },
      // A write that has not been answered may be there in part.
      fits: (before, after) => same(withChanges(before, nsid, { fill: after.get(nsid)?.fill ?? -2 }), after),
    };
  }
  const format = pick(2);
  return {
    run: async (guest) => void (await guest.succeeds(formatNamespace(guest.driver, nsid, format))),
    fits: (before, after) =>
      same(before, after) || same(withChanges(before, nsid, { fill: 0, blockBytes: format === 0 ? 512 : 4096 }), after),
  };
}

test(`killed ${rounds} times while namespaces are made, formatted and deleted: all or nothing of each`, {
  timeout: 300_000,
}, async () => {
  let world: World = new Map();
  const open: { step: Step | null } = { step: null };
  let [answered, unanswered] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const running = await daemonInPool();
    daemon = running;
    const guest = new Guest(await Attached.to(running, { memory: 'mapped', doorbells: 'trapped' }));
    const found = await guest.look();
    const fits = open.step?.fits ?? same;
    expect(fits(world, found), JSON.stringify({ round, world: [...world], found: [...found] })).toBe(true);
    // No file is left that is no namespace, and each has its room.
    const images = readdirSync(join(folder, 'pool')).filter((name) => name.endsWith('.img'));
    expect(images).toHaveLength(found.size);
    for (const image of images) {
      expect(statSync(join(folder, 'pool', image)).blocks * 512).toBeGreaterThanOrEqual(sizeBytes);
    }
    const controller = await guest.driver.identify(1);
    expect(new DataView(controller.buffer).getUint32(296, true)).toBe(poolBytes - found.size * sizeBytes);
    world = found;
    const killed = setTimeout(pick(150)).then(() => running.kill());
    let alive = true;
    void killed.then(() => {
      alive = false;
    });
    const work = (async () => {
      while (alive) {
        open.step = step(world);
        await open.step.run(guest);
        answered++;
        world = await guest.look();
        open.step = null;
      }
    })();
    // What it was waiting for never comes.
    await Promise.race([work, killed]).catch((error) => {
      if (alive && running.running) throw error;
    });
    work.catch(() => {});
    await killed;
    guest.attached.close();
    if (open.step !== null) unanswered++;
  }
  // Else it has shown nothing.
  expect(answered).toBeGreaterThan(0);
  expect(unanswered).toBeGreaterThan(0);
});

import { existsSync, readFileSync } from 'node:fs';

import { type DaemonProcess, generator } from '@sidecard/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Attached, type AttachOptions } from './attached.ts';
import { startNvme } from './daemon.ts';

const DISK_BYTES = 8 * 1024 * 1024;
const BLOCK = 512;

/** What the disk should hold, and random commands that keep it so. */
class Workload {
  readonly disk = new Uint8Array(DISK_BYTES);
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  /** Commands one after the other on blocks [from, to), none of which anybody else touches. */
  async run(guest: Attached, queue: number, from: number, to: number, commands: number): Promise<void> {
    for (let i = 0; i < commands; i++) {
      const blocks = 1 + this.#below(Math.min(to - from, this.#random() < 0.2 ? 512 : 24));
      const lba = from + this.#below(to - from - blocks + 1);
      await this.#one(guest, queue, lba, blocks * BLOCK);
    }
  }

  async #one(guest: Attached, number: number, lba: number, sizeBytes: number): Promise<void> {
    const { driver } = guest;
    const queue = guest.queues[number]!;
    const here = this.disk.subarray(lba * BLOCK, lba * BLOCK + sizeBytes);
    const options = {
      blockBytes: BLOCK,
      fua: this.#random() < 0.1,
      pageOffset: this.#below(1024) * 4,
      scattered: this.#random() < 0.5,
      listOffset: this.#random() < 0.3 ? 4096 - 8 * (1 + this.#below(4)) : 0,
    };
    const kind = this.#random();
    if (kind < 0.45) {
      for (let i = 0; i < sizeBytes; i++) here[i] = this.#random() * 256;
      await driver.write(queue, 1, lba, here.slice(), options);
    } else if (kind < 0.9) expectSame(await driver.read(queue, 1, lba, sizeBytes, options), here);
    else if (kind < 0.95) {
      here.fill(0);
      await driver.writeZeroes(queue, 1, lba, sizeBytes, options);
    } else if (kind < 0.98) await driver.compare(queue, 1, lba, here.slice(), options);
    else await driver.flush(queue, 1);
  }

  async check(guest: Attached): Promise<void> {
    for (let at = 0; at < DISK_BYTES; at += 1024 * 1024) {
      const read = await guest.driver.read(guest.queues[1]!, 1, at / BLOCK, 1024 * 1024, { blockBytes: BLOCK });
      expectSame(read, this.disk.subarray(at, at + 1024 * 1024));
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

const guests: Attached[] = [];
afterEach(() => {
  for (const guest of guests.splice(0)) guest.close();
});
async function attach(daemon: DaemonProcess, options: AttachOptions): Promise<Attached> {
  const guest = await Attached.to(daemon, options);
  guests.push(guest);
  return guest;
}

const ways: AttachOptions[] = [
  { memory: 'mapped', doorbells: 'trapped', interrupts: 'msix' },
  { memory: 'mapped', doorbells: 'trapped', interrupts: 'msi' },
  { memory: 'mapped', doorbells: 'trapped', interrupts: 'intx' },
  { memory: 'mapped', doorbells: 'shadow', interrupts: 'msix' },
  { memory: 'mapped', doorbells: 'shadow', interrupts: 'polled' },
  { memory: 'messages', doorbells: 'trapped', interrupts: 'msix' },
  { memory: 'messages', doorbells: 'trapped', interrupts: 'intx' },
];

describe('a daemon with an image file', () => {
  let daemon: DaemonProcess;
  const work = new Workload(42);
  beforeAll(async () => {
    daemon = await startNvme(['--drive', `file={folder}/disk.img,size=${DISK_BYTES}`]);
  });
  afterAll(() => daemon.remove());

  test('is a disk of the right size', async () => {
    const guest = await attach(daemon, ways[0]!);
    const namespace = await guest.driver.identifyNamespace(1);
    expect(namespace).toMatchObject({ sizeBlocks: DISK_BYTES / BLOCK, blockBytes: BLOCK });
    expect((await guest.driver.identifyController()).model).not.toBe('');
  });

  test.each(ways)('keeps random data: $memory memory, $doorbells doorbells, $interrupts', async (options) => {
    const guest = await attach(daemon, options);
    await work.check(guest);
    // Eight at a time, on two queues, each on an eighth of the disk.
    const share = DISK_BYTES / BLOCK / 8;
    const workers = Array.from({ length: 8 }, (_, n) => work.run(guest, n % 2, n * share, (n + 1) * share, 40));
    await Promise.all(workers);
    await guest.start();
    await work.check(guest);
  });

  test('a guest that is killed with commands in flight leaves nothing behind, and the next one goes on', async () => {
    const before = await atRest(daemon);
    for (const options of ways) {
      const guest = await attach(daemon, options);
      const [queue] = guest.queues;
      for (let i = 0; i < 10; i++) {
        queue!.push({ opcode: 2, nsid: 1, prp1: guest.ram.allocate(4096), cdw10: i, cdw12: 7 });
      }
      queue!.ring();
      guest.close();
    }
    expect(await atRest(daemon, before)).toEqual(before);
    const guest = await attach(daemon, ways[0]!);
    await work.check(guest);
  });

  test('memory unmapped under its queues and then a doorbell: a failed controller, which a reset brings back', async () => {
    const guest = await attach(daemon, ways[0]!);
    const { driver, port, ram } = guest;
    port.client.unmapRam(ram);
    driver.trapped.tail(1, 1);
    const deadline = Date.now() + 3000;
    while (driver.registers.csts.cfs === 0 && Date.now() < deadline) port.turn();
    expect(driver.registers.csts.cfs).toBe(1);
    port.client.mapRam(ram);
    await guest.start();
    await work.check(guest);
  });

  test('SIGTERM flushes, removes the socket, and the image holds every byte', async () => {
    expect(await daemon.stop()).toBe(0);
    expect(existsSync(daemon.socket)).toBe(false);
    expect(Buffer.compare(readFileSync(`${daemon.folder}/disk.img`), work.disk)).toBe(0);
    expect(daemon.log).not.toMatch(/"level":[56]0/);
  });
});

describe('a daemon whose doorbells are mapped', () => {
  let daemon: DaemonProcess;
  beforeAll(async () => {
    daemon = await startNvme(['--drive', `mem:${DISK_BYTES}`, '--doorbells', 'mapped']);
  });
  afterAll(async () => {
    await daemon.remove();
  });

  test.each<AttachOptions>([
    { memory: 'mapped', doorbells: 'mapped', interrupts: 'polled' },
    { memory: 'mapped', doorbells: 'mapped', interrupts: 'msix' },
    { memory: 'messages', doorbells: 'mapped', interrupts: 'polled' },
    { memory: 'mapped', doorbells: 'trapped', interrupts: 'polled' },
  ])('keeps random data: $memory memory, $doorbells doorbells, $interrupts', async (options) => {
    const work = new Workload(7);
    const guest = await attach(daemon, options);
    const share = DISK_BYTES / BLOCK / 4;
    await guest.driver.writeZeroes(guest.queues[0]!, 1, 0, DISK_BYTES / 2, { blockBytes: BLOCK });
    await guest.driver.writeZeroes(guest.queues[0]!, 1, DISK_BYTES / 2 / BLOCK, DISK_BYTES / 2, { blockBytes: BLOCK });
    const workers = Array.from({ length: 4 }, (_, n) => work.run(guest, n % 2, n * share, (n + 1) * share, 40));
    await Promise.all(workers);
    await work.check(guest);
  });
});

/** Comparing megabytes one element at a time takes longer than reading them. */
function expectSame(read: Uint8Array, wanted: Uint8Array): void {
  if (Buffer.compare(read, wanted) !== 0) expect(read).toEqual(wanted.slice());
}

/** What a daemon holds once it holds no more than before, or a second has passed. */
async function atRest(daemon: DaemonProcess, before?: ReturnType<DaemonProcess['holdings']>) {
  for (let i = 0; i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (before !== undefined && JSON.stringify(daemon.holdings()) === JSON.stringify(before)) break;
  }
  return daemon.holdings();
}

import { AdminOpcode, copyCommand, copySources, generator, NvmOpcode, type QueuePair, until } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Controlled } from './controlled.ts';
import { type Machine, started, type Way, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

const drives = 2;
const entries = 1024;
const kinds = ['read', 'write', 'zeroes', 'verify', 'flush', 'copy', 'fused'] as const;

interface Submitted {
  readonly queue: QueuePair;
  readonly cid: number;
}

/**
 * A driver that has more under way than the controller has slots, in drives whose limits change all the time, and that does to it what drivers and people
 * do at odd moments. Each command ends once, or is gone with a reset; nothing of one that is gone comes to a drive.
 */
class History {
  readonly #made: Machine;
  readonly #random: () => number;
  readonly #drives: readonly TestDrive[];
  readonly #control: Controlled;
  readonly #buffer: number;
  readonly #sources: number;
  #queues: QueuePair[] = [];
  #commands: Submitted[] = [];
  completed = 0;
  /** Commands that resets have taken back. */
  gone = 0;

  constructor(made: Machine, all: readonly TestDrive[], random: () => number) {
    this.#made = made;
    this.#drives = all;
    this.#random = random;
    this.#control = new Controlled(made);
    this.#buffer = made.ram.allocate(4096);
    this.#sources = made.ram.allocate(4096);
    made.ram.store(this.#sources, copySources([{ lba: 64, blocks: 8 }]));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!;
  }

  async createQueues(): Promise<void> {
    this.#queues = [];
    for (const id of [1, 2]) this.#queues.push(await this.#made.driver.createQueues(id, { entries }));
  }

  submit(count: number): void {
    for (let left = count; left > 0; left--) {
      const queue = this.pick(this.#queues);
      const fits = queue.inFlight + 3 < entries && (queue.tail + 2) % entries !== queue.sqHead && !queue.full;
      if (!fits) continue;
      for (const command of this.#commandsOf(this.pick(kinds)))
        this.#commands.push({ queue, cid: queue.push(command) });
    }
    for (const queue of this.#queues) queue.ring();
  }

  /** What has ended is accounted for. */
  async reap(): Promise<void> {
    for (const queue of this.#queues) queue.reap();
    const left: Submitted[] = [];
    for (const one of this.#commands) {
      const completion = one.queue.poll(one.cid);
      if (completion === null) left.push(one);
      else {
        await one.queue.completion(one.cid);
        this.completed++;
      }
    }
    this.#commands = left;
    for (const queue of this.#queues) expect(queue.strays).toEqual([]);
  }

  async turn(): Promise<void> {
    this.#made.server.clock.advance(this.#random() * 20);
    await this.#control.pass(1 + Math.floor(this.#random() * 3));
    await this.reap();
  }

  limit(): void {
    const iops = this.pick([null, null, 1, 50, 5000, 1_000_000]);
    const bytesPerSecond = this.pick([null, null, null, 512, 1 << 20]);
    this.#control.begin('PATCH', `/namespaces/${this.pick([1, 2])}/limits`, { iops, bytesPerSecond });
  }

  stall(): void {
    const drive = this.pick(this.#drives);
    drive.stalled = !drive.stalled;
  }

  /** Detached, attached and grown, without a look at what comes of it. */
  meddle(): void {
    const nsid = this.pick([1, 2]);
    const sizeBytes = this.#drives[nsid - 1]!.geometry.sizeBytes + 4096;
    this.pick([
      () => this.#control.begin('POST', `/namespaces/${nsid}/detach`),
      () => this.#control.begin('POST', `/namespaces/${nsid}/attach`),
      () => this.#control.begin('POST', `/namespaces/${nsid}/attach`),
      () => this.#control.begin('PATCH', `/namespaces/${nsid}`, { sizeBytes }),
    ])();
  }

  async abort(): Promise<void> {
    if (this.#commands.length === 0) return;
    const { queue, cid } = this.pick(this.#commands);
    await this.#made.driver.adminCommand({ opcode: AdminOpcode.abort, cdw10: (cid << 16) | queue.id });
  }

  async deleteQueue(): Promise<void> {
    this.#flow();
    const { driver } = this.#made;
    const queue = this.pick(this.#queues);
    await driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: queue.id });
    await this.reap();
    // All that was in it has ended, whatever the limits; what had not been fetched is gone.
    const fetched = this.#commands.filter((one) => one.queue === queue).length;
    this.gone += fetched;
    this.#commands = this.#commands.filter((one) => one.queue !== queue);
    await driver.adminCommand({ opcode: AdminOpcode.deleteCompletionQueue, cdw10: queue.id });
    this.#queues[this.#queues.indexOf(queue)] = await driver.createQueues(queue.id, { entries });
  }

  async reset(): Promise<void> {
    const { driver, handle, client, controller } = this.#made;
    this.pick([
      () => {
        driver.registers.cc.value = 0;
      },
      () => {
        driver.registers.nssr = 0x4e56_4d65;
      },
      () => {
        this.#flow();
        handle.functionLevelReset();
      },
      () => {
        this.#flow();
        client.reset();
      },
    ])();
    this.#flow();
    this.gone += this.#commands.length;
    this.#commands = [];
    await until(handle.port, () => controller.inFlight === 0, 'what was under way to end');
    expect(driver.registers.csts.value & 1).toBe(0);
    expect(controller.processor.waitingRoom.count).toBe(0);
    for (const { limiter } of controller.namespaces.list) expect(limiter.waiting).toBe(0);
    const before = this.#drives.map(({ seen }) => seen.length);
    this.#made.server.clock.advance(1_000_000);
    await this.#control.pass(5);
    expect(this.#drives.map(({ seen }) => seen.length)).toEqual(before);
    handle.setBusMaster(true);
    await driver.enable();
    await this.createQueues();
  }

  /** Limits are lifted, drives answer: everything ends. */
  async end(): Promise<void> {
    this.#flow();
    for (const nsid of [1, 2]) {
      await this.#control.ask('PATCH', `/namespaces/${nsid}/limits`, { iops: null, bytesPerSecond: null });
    }
    for (const end = Date.now() + 20_000; this.#commands.length > 0; ) {
      expect([this.#commands.length, Date.now() < end]).toEqual([this.#commands.length, true]);
      await this.turn();
    }
    const { controller } = this.#made;
    expect([controller.inFlight, controller.processor.waitingRoom.count]).toEqual([0, 0]);
    expect(controller.namespaces.list.map(({ users, limiter }) => [users, limiter.waiting])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  }

  #flow(): void {
    for (const drive of this.#drives) drive.stalled = false;
  }

  #commandsOf(kind: (typeof kinds)[number]) {
    const nsid = this.pick([1, 2]);
    const at = { nsid, prp1: this.#buffer, cdw10: 8 * Math.floor(this.#random() * 100), cdw12: 7 };
    switch (kind) {
      case 'read':
        return [{ ...at, opcode: NvmOpcode.read }];
      case 'write':
        return [{ ...at, opcode: NvmOpcode.write }];
      case 'zeroes':
        return [{ ...at, opcode: NvmOpcode.writeZeroes }];
      case 'verify':
        return [{ ...at, opcode: NvmOpcode.verify }];
      case 'flush':
        return [{ nsid, opcode: NvmOpcode.flush }];
      case 'copy':
        return [{ ...copyCommand(nsid, at.cdw10, [{ lba: 64, blocks: 8 }]), prp1: this.#sources }];
      case 'fused':
        return [
          { ...at, opcode: NvmOpcode.compare, flags: 1 },
          { ...at, opcode: NvmOpcode.write, flags: 2 },
        ];
    }
  }
}

describe.each(ways)(
  'limits that change all the time, with more under way than there are slots, %s memory',
  (way: Way) => {
    test.each([1, 2])(
      'no command is lost, and none ends twice (seed %i)',
      async (seed) => {
        const all = Array.from({ length: drives }, (_, index) => new TestDrive(1 << 20, { seed: index + 1 }));
        const made = await started(way, { drives: all });
        const random = generator(seed);
        const history = new History(made, all, random);
        await made.driver.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: 1 });
        await made.driver.adminCommand({ opcode: AdminOpcode.deleteCompletionQueue, cdw10: 1 });
        await history.createQueues();
        const most = way === 'mapped' ? 400 : 60;
        for (let round = 0; round < 40; round++) {
          history.submit(Math.floor(random() * most));
          await history.turn();
          for (let count = Math.floor(random() * 3); count > 0; count--) history.limit();
          if (random() < 0.3) history.stall();
          if (random() < 0.3) history.meddle();
          await history.turn();
          if (random() < 0.3) await history.abort();
          if (random() < 0.1) await history.deleteQueue();
          if (random() < 0.15) await history.reset();
        }
        await history.end();
        expect(history.completed).toBeGreaterThan(200);
        expect(history.gone).toBeGreaterThan(100);
      },
      60_000,
    );
  },
);

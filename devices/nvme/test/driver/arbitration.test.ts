import { AdminOpcode, type NvmeDriver, QueuePair } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { TestDrive } from '../test-drive.ts';
import { machine } from './machine.ts';

// Guest memory is mapped in all of these: what is fetched is executed at once, so that the drive sees the order.

const weightedRoundRobin = 1;
const Priority = { urgent: 0, high: 1, medium: 2, low: 3 } as const;
/** Reads that tell by their LBA which queue they are of. */
const lbasPerQueue = 256;

async function started(mechanism: number) {
  const made = await machine('mapped', { drives: [new TestDrive(1 << 20)], ramBytes: 16 << 20 });
  const { driver } = made;
  await driver.enable();
  await driver.disable();
  const { registers, admin } = driver;
  registers.aqa = ((admin.entries - 1) << 16) | (admin.entries - 1);
  driver.admin = new QueuePair(driver.ram, driver.function.port, driver.trapped, { id: 0, entries: 32, vector: null });
  registers.asq = driver.admin.sqIova;
  registers.acq = driver.admin.cqIova;
  registers.cc.value = (4 << 20) | (6 << 16) | (mechanism << 11) | 1;
  expect(registers.csts.value).toBe(1);
  return made;
}

async function createQueue(driver: NvmeDriver, id: number, priority: number): Promise<QueuePair> {
  const { ram } = driver;
  const entries = 128;
  const queue = new QueuePair(ram, driver.function.port, driver.trapped, { id, entries, vector: null });
  const cdw10 = ((entries - 1) << 16) | id;
  await driver.adminCommand({ opcode: AdminOpcode.createCompletionQueue, prp1: queue.cqIova, cdw10, cdw11: 1 });
  const cdw11 = (id << 16) | (priority << 1) | 1;
  await driver.adminCommand({ opcode: AdminOpcode.createSubmissionQueue, prp1: queue.sqIova, cdw10, cdw11 });
  return queue;
}

/** Fills the queues, rings them all, and tells in which order the commands of which queue came to the drive. */
async function order(made: Awaited<ReturnType<typeof started>>, priorities: readonly number[], commands: number) {
  const { driver, drive, handle, settle, ram } = made;
  const queues: QueuePair[] = [];
  for (const [index, priority] of priorities.entries()) queues.push(await createQueue(driver, index + 1, priority));
  const prp1 = ram.allocate(4096);
  drive.seen.length = 0;
  // Rung while nothing can be fetched, so that all have everything from the start.
  handle.setBusMaster(false);
  for (const queue of queues) {
    for (let count = 0; count < commands; count++) {
      queue.push({ opcode: 2, nsid: 1, prp1, cdw10: queue.id * lbasPerQueue + count });
    }
    queue.ring();
  }
  await settle();
  handle.setBusMaster(true);
  await settle();
  for (const queue of queues) expect(queue.reap()).toBe(commands);
  return drive.seen.map(({ offset }) => Math.floor(offset / 512 / lbasPerQueue));
}

/** Runs of the same queue: queue and how many. */
function runs(sequence: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const queue of sequence) {
    const last = found.at(-1);
    if (last !== undefined && last[0] === queue) last[1]++;
    else found.push([queue, 1]);
  }
  return found;
}

test('round robin: bursts of all queues in turn, whatever their priority', async () => {
  const made = await started(0);
  await made.driver.setFeature(1, 2); // AB: four
  const sequence = await order(made, [Priority.low, Priority.urgent], 8);
  expect(runs(sequence)).toEqual([
    [1, 4],
    [2, 4],
    [1, 4],
    [2, 4],
  ]);
});

test.each([
  [0, 1],
  [3, 8],
  [5, 32],
  [6, 32],
  [7, 32],
])('feature 01h, arbitration burst %i: %i commands of a queue in a row', async (exponent, burst) => {
  const made = await started(0);
  await made.driver.setFeature(1, exponent);
  expect((await made.driver.identifyController()).raw[72]).toBe(5); // RAB
  const sequence = await order(made, [Priority.low, Priority.low], 64);
  expect(runs(sequence)[0]).toEqual([1, burst]);
});

test('weighted round robin (CAP.AMS, CC.AMS): the urgent class first, then the others by their weights', async () => {
  const made = await started(weightedRoundRobin);
  // HPW 8, MPW 4, LPW 2, and bursts of two.
  await made.driver.setFeature(1, (7 << 24) | (3 << 16) | (1 << 8) | 1);
  const { urgent, high, medium, low } = Priority;
  const sequence = await order(made, [low, medium, high, urgent, urgent], 16);
  // Two urgent queues in bursts, until both are empty.
  expect(runs(sequence.slice(0, 32))).toEqual(Array.from({ length: 16 }, (_, turn) => [turn % 2 === 0 ? 4 : 5, 2]));
  expect(runs(sequence.slice(32))).toEqual([
    [3, 8],
    [2, 4],
    [1, 2],
    [3, 8],
    [2, 4],
    [1, 2],
    [2, 4],
    [1, 2],
    [2, 4],
    [1, 10],
  ]);
});

test('weighted round robin: queues of one class share its weight', async () => {
  const made = await started(weightedRoundRobin);
  await made.driver.setFeature(1, (3 << 24) | (3 << 16) | (3 << 8) | 1); // weights of four, bursts of two
  const { high, low } = Priority;
  const sequence = await order(made, [high, high, low], 8);
  expect(runs(sequence.slice(0, 12))).toEqual([
    [1, 2],
    [2, 2],
    [3, 4],
    [1, 2],
    [2, 2],
  ]);
});

test('weighted round robin: an urgent queue whose completion queue is full holds up nobody', async () => {
  const made = await started(weightedRoundRobin);
  const { driver, settle, ram } = made;
  const urgent = await createQueue(driver, 1, Priority.urgent);
  const low = await createQueue(driver, 2, Priority.low);
  const prp1 = ram.allocate(4096);
  // One entry stays free of 128, and nobody consumes.
  for (let count = 0; count < 127; count++) urgent.push({ opcode: 2, nsid: 1, prp1 });
  urgent.ring();
  await settle();
  const entry = ram.load(urgent.sqIova, 64);
  ram.store(urgent.sqIova + 127 * 64, entry);
  driver.trapped.tail(1, 0);
  await settle();
  const cid = low.submit({ opcode: 2, nsid: 1, prp1 });
  expect((await low.completion(cid)).status).toBe(0);
  expect(urgent.reap()).toBe(127);
});

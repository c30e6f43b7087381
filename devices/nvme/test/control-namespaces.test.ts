import {
  AdminOpcode,
  attachNamespace,
  createNamespace,
  deleteNamespace,
  formatNamespace,
  type NvmeDriver,
} from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { Controlled, opener } from './controlled.ts';
import { type MachineOptions, machine, pattern, started, type Way, ways } from './machine.ts';
import { NoteFile } from './note-file.ts';
import { TestDrive } from './test-drive.ts';
import { testPool } from './test-pool.ts';

const mib = 1 << 20;
const attributesChanged = (4 << 16) | 2;

const nsidsOf = (page: Uint8Array) =>
  [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter((nsid) => nsid !== 0);
/** The Changed Namespace List. */
const changed = async (driver: NvmeDriver) => nsidsOf(await driver.logPage(4, 4096));
const active = async (driver: NvmeDriver) => nsidsOf(await driver.identify(0x02));
const allocated = async (driver: NvmeDriver) => nsidsOf(await driver.identify(0x10));

/** A machine whose namespaces are drives 1 and 2, and image.img another that can be added; its driver wants to hear of namespaces. */
async function controlled(way: Way, options: MachineOptions = {}) {
  const drives = options.drives ?? [1, 2].map((seed) => new TestDrive(mib, { seed }));
  const added = new TestDrive(2 * mib, { seed: 9 });
  added.slow = way === 'messages';
  const { open, discarded } = opener({ 'image.img': added });
  const made = await started(way, { ...options, drives, controller: { openDrive: open, ...options.controller } });
  await made.driver.setFeature(0x0b, 1 << 8);
  return { ...made, drives, added, discarded, control: new Controlled(made) };
}

/** An event request that is outstanding: resolves with dword 0. */
function awaitEvent({ admin }: NvmeDriver): Promise<number> {
  const cid = admin.submit({ opcode: AdminOpcode.asyncEventRequest });
  return admin.completion(cid).then(({ dw0 }) => dw0);
}

describe.each(ways)('POST /namespaces, %s memory', (way) => {
  test('a drive is added: the guest has its event, finds it in log page 04h and in Identify, and uses it', async () => {
    const { driver, queue, control, added } = await controlled(way);
    const event = awaitEvent(driver);
    const { status, body } = await control.ask('POST', '/namespaces', { drive: 'image.img' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ nsid: 3, source: 'drive', sizeBytes: 2 * mib, blocks: 4096, attached: true });
    expect(await event).toBe(attributesChanged);
    expect(await changed(driver)).toEqual([3]);
    expect(await active(driver)).toEqual([1, 2, 3]);
    expect((await driver.identifyNamespace(3)).sizeBlocks).toBe(4096);
    const data = pattern(4096);
    await driver.write(queue, 3, 8, data, { blockBytes: 512 });
    expect(added.bytes.subarray(4096, 8192)).toEqual(data);
    // It lasts over a reset.
    await driver.enable();
    expect(await active(driver)).toEqual([1, 2, 3]);
    expect((await control.ask('GET', '/namespaces/3')).body).toEqual(body);
  });

  test('not attached it is nothing to the guest until somebody attaches it: it can do so itself', async () => {
    const { driver, control } = await controlled(way);
    const wanted = { drive: 'image.img', nsid: 7, attached: false };
    expect((await control.ask('POST', '/namespaces', wanted)).body).toMatchObject({ nsid: 7, attached: false });
    expect([await changed(driver), await active(driver), await allocated(driver)]).toEqual([[], [1, 2], [1, 2, 7]]);
    const event = awaitEvent(driver);
    expect((await control.ask('POST', '/namespaces/7/attach')).body).toMatchObject({ attached: true });
    expect([await event, await changed(driver)]).toEqual([attributesChanged, [7]]);
    expect(await control.ask('POST', '/namespaces/7/attach')).toMatchObject({
      status: 409,
      body: 'namespace 7 is attached already',
    });
    expect((await attachNamespace(driver, 7, 'detach')).status).toBe(Status.success);
    expect((await attachNamespace(driver, 7, 'attach')).status).toBe(Status.success);
    expect(await active(driver)).toEqual([1, 2, 7]);
  });

  test('the notes beside the image count as they do at a start: a format that had not ended goes on', async () => {
    const { driver, control, added } = await controlled(way);
    const file = new NoteFile();
    file.text = '{"version":1,"formatting":4096,"uncorrectable":[[0,512]]}';
    added.file = file;
    added.bytes.fill(1);
    const { body } = await control.ask('POST', '/namespaces', { drive: 'image.img' });
    expect(body).toMatchObject({ state: 'formatting', blockBytes: 512 });
    for (const end = Date.now() + 10_000; Date.now() < end; await control.pass(1)) {
      if ((await control.ask('GET', '/namespaces/3')).body.state === 'ready') break;
    }
    expect(await driver.identifyNamespace(3)).toMatchObject({ sizeBlocks: 512, blockBytes: 4096 });
    expect(added.bytes.some((byte) => byte !== 0)).toBe(false);
  });

  test('marks of Write Uncorrectable go with the image, and come with it', async () => {
    const { driver, queue, control, added } = await controlled(way);
    added.file = new NoteFile();
    const options = { blockBytes: 512 };
    await control.ask('POST', '/namespaces', { drive: 'image.img' });
    await driver.writeUncorrectable(queue, 3, 4, 1024, options);
    expect((await control.ask('DELETE', '/namespaces/3')).status).toBe(204);
    await control.ask('POST', '/namespaces', { drive: 'mem:1M', nsid: 3 });
    await driver.read(queue, 3, 4, 512, options);
    await control.ask('POST', '/namespaces', { drive: 'image.img', nsid: 4 });
    await expect(driver.read(queue, 4, 4, 512, options)).rejects.toThrow('2h/81h');
  });

  test('there are as many as there can be', async () => {
    const { driver, control } = await controlled(way);
    for (let nsid = 3; nsid <= 16; nsid++) {
      expect((await control.ask('POST', '/namespaces', { drive: 'null:1M' })).body).toMatchObject({ nsid });
    }
    expect(await control.ask('POST', '/namespaces', { drive: 'null:1M' })).toEqual({
      status: 409,
      body: 'there are 16 namespaces, as many as there can be (NN)',
    });
    expect(await changed(driver)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    expect((await control.ask('DELETE', '/namespaces/9')).status).toBe(204);
    expect((await control.ask('POST', '/namespaces', { drive: 'null:1M' })).body).toMatchObject({ nsid: 9 });
  });

  test('an nsid that has become free is not taken again before the guest has read that it has gone', async () => {
    const { driver, control } = await controlled(way);
    const post = async () => (await control.ask('POST', '/namespaces', { drive: 'null:1M' })).body.nsid;
    expect((await control.ask('DELETE', '/namespaces/1')).status).toBe(204);
    expect(await post()).toBe(3);
    expect(await changed(driver)).toEqual([1, 3]);
    expect(await post()).toBe(1);
    // Unless there is no other, or somebody says so.
    expect((await control.ask('DELETE', '/namespaces/3')).status).toBe(204);
    expect((await control.ask('POST', '/namespaces', { drive: 'null:1M', nsid: 3 })).body).toMatchObject({ nsid: 3 });
  });
});

test.each([
  [{ drive: '' }, 400, '--drive : no file'],
  [{ drive: 'image.img,colour=red' }, 400, /^--drive image.img,colour=red: unknown option 'colour'/],
  [{ drive: 'mem:1000' }, 400, '--drive mem:1000: the size is not a multiple of the block, 512 bytes'],
  [{ drive: 'image.img', nsid: 17 }, 400, 'nsid 17 is more than 16, the largest that there is (NN)'],
  [{ drive: 'image.img', nsid: 2 }, 409, 'there is a namespace 2'],
  [{ drive: 'tiny.img,lba=4096' }, 409, 'test drive 4: 512 bytes are less than one block of 4096'],
])('POST /namespaces %j is refused with %i', async (wanted, status, reason) => {
  const { open, discarded } = opener({
    'image.img': new TestDrive(mib),
    'tiny.img': new TestDrive(512, { seed: 4 }),
  });
  const drives = [new TestDrive(mib), new TestDrive(mib)];
  const made = machine('mapped', { drives, controller: { openDrive: open } });
  const answer = await new Controlled(made).ask('POST', '/namespaces', wanted);
  expect(answer.status).toBe(status);
  expect(answer.body).toMatch(reason);
  expect(made.controller.namespaces.list.map(({ nsid }) => nsid)).toEqual([1, 2]);
  expect(discarded.length).toBe(wanted.drive.startsWith('tiny') ? 1 : 0);
});

test('one whose marks find no room leaves none of them behind', async () => {
  const { driver, queue, control, added } = await controlled('mapped');
  const ranges = Array.from({ length: 1025 }, (_, index) => [1024 * index, 1024 * index + 512]);
  const file = new NoteFile();
  file.text = JSON.stringify({ version: 1, uncorrectable: ranges });
  added.file = file;
  expect(await control.ask('POST', '/namespaces', { drive: 'image.img', nsid: 3 })).toEqual({
    status: 409,
    body: 'a drive has more than 1024 ranges marked uncorrectable',
  });
  expect((await control.ask('POST', '/namespaces', { drive: 'null:1M', nsid: 3 })).status).toBe(200);
  await driver.read(queue, 3, 0, 512, { blockBytes: 512 });
  await driver.writeUncorrectable(queue, 3, 0, 512, { blockBytes: 512 });
});

test('the same file or serial number twice is refused, also where the first is being removed', async () => {
  const { control, added } = await controlled('mapped');
  const wanted = { drive: 'image.img,serial=S1' };
  await control.ask('POST', '/namespaces', wanted);
  expect(await control.ask('POST', '/namespaces', { drive: 'file=./image.img' })).toEqual({
    status: 409,
    body: '--drive: ./image.img is given twice: namespace 3 has it',
  });
  expect(await control.ask('POST', '/namespaces', { drive: 'null:1M,serial=S1' })).toEqual({
    status: 409,
    body: '--drive: serial=S1 is given twice: namespace 3 has it',
  });
  added.stalled = true;
  const removal = control.begin('DELETE', '/namespaces/3');
  expect((await control.ask('POST', '/namespaces', wanted)).status).toBe(409);
  added.stalled = false;
  expect((await control.answered(removal)).status).toBe(204);
  expect((await control.ask('POST', '/namespaces', wanted)).status).toBe(200);
});

test('a controller to which drives can be added has a volatile cache: drivers ask once, and flush', async () => {
  const cached = { volatileCache: false } as const;
  const drives = [new TestDrive(mib, cached)];
  const plain = await started('mapped', { drives });
  expect((await plain.driver.identify(1))[525]! & 1).toBe(0);
  const { driver } = await controlled('mapped', { drives: [new TestDrive(mib, cached)] });
  expect((await driver.identify(1))[525]! & 1).toBe(1);
  expect(await driver.getFeature(6)).toBe(1);
});

describe.each(ways)('DELETE /namespaces/{nsid}, %s memory', (way) => {
  test('the guest has its event; what it has written is flushed before the drive is closed', async () => {
    const { driver, queue, control, drives } = await controlled(way);
    await driver.write(queue, 2, 0, pattern(512), { blockBytes: 512 });
    await driver.setFeature(5, 9, 2);
    const event = awaitEvent(driver);
    expect((await control.ask('DELETE', '/namespaces/2')).status).toBe(204);
    expect(drives[1]!.seen.at(-1)).toMatchObject({ operation: 'flush' });
    expect(drives[1]!.closed).toBe(true);
    expect([await event, await changed(driver)]).toEqual([attributesChanged, [2]]);
    expect([await active(driver), await allocated(driver)]).toEqual([[1], [1]]);
    await expect(driver.read(queue, 2, 0, 512, { blockBytes: 512 })).rejects.toThrow('0h/2h');
    expect((await driver.identifyNamespace(2)).sizeBlocks).toBe(0);
    expect(await control.ask('DELETE', '/namespaces/2')).toEqual({ status: 404, body: 'there is no namespace 2' });
    // Another takes its place, and has nothing of it.
    await driver.setFeature(5, 9, 1);
    expect((await control.ask('POST', '/namespaces', { drive: 'image.img', nsid: 2 })).status).toBe(200);
    expect(await driver.getFeature(5, 2)).toBe(0);
    expect((await driver.identifyNamespace(2)).sizeBlocks).toBe(4096);
  });

  test('commands in flight end first, with what they come to; later ones fail at once, and others go on', async () => {
    const { driver, queue, control, drives, ram, controller } = await controlled(way);
    drives[1]!.stalled = true;
    const prp1 = ram.allocate(4096);
    const cids = [0, 1, 2].map((lba) => queue.submit({ opcode: lba === 2 ? 0 : 1, nsid: 2, prp1, cdw10: lba }));
    await control.pass();
    expect(controller.namespaces.allocated(2)!.users).toBe(3);
    const removal = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    expect((await control.ask('GET', '/namespaces/2')).body).toMatchObject({ state: 'removing', commandsInFlight: 3 });
    await expect(driver.read(queue, 2, 0, 512, { blockBytes: 512 })).rejects.toThrow('0h/2h');
    await driver.read(queue, 1, 0, 512, { blockBytes: 512 });
    expect((await attachNamespace(driver, 2, 'attach')).status).toBe(Status.invalidField);
    expect((await formatNamespace(driver, 2, 0)).status).toBe(Status.invalidField);
    const others = ['/attach', '/detach', '/remeasure'].map((action) => ['POST', `/namespaces/2${action}`] as const);
    for (const [method, path] of [...others, ['PATCH', '/namespaces/2'] as const]) {
      const answer = await control.ask(method, path, { sizeBytes: 2 * mib });
      expect([path, answer]).toEqual([path, { status: 409, body: 'namespace 2 is being removed' }]);
    }
    // Who asks again waits as well.
    const again = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    expect([removal.answer, again.answer, drives[1]!.closed]).toEqual([null, null, false]);
    drives[1]!.stalled = false;
    expect([await control.answered(removal), await control.answered(again)].map(({ status }) => status)).toEqual([
      204, 204,
    ]);
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(0);
    expect(drives[1]!.closed).toBe(true);
  });

  test('through resets of the controller with commands in flight', async () => {
    const { driver, queue, control, drives, ram, client, handle } = await controlled(way);
    drives[1]!.stalled = true;
    queue.submit({ opcode: 1, nsid: 2, prp1: ram.allocate(4096) });
    await control.pass();
    const removal = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    driver.registers.cc.value = 0;
    await control.pass();
    expect([driver.registers.csts.rdy, removal.answer]).toEqual([1, null]);
    // Function Level Reset.
    client.regionWrite(7, handle.find(0x10)! + 8, Uint8Array.of(0, 0x80), true);
    await control.pass();
    drives[1]!.stalled = false;
    expect((await control.answered(removal)).status).toBe(204);
    await control.pass();
    handle.setBusMaster(true);
    await driver.enable();
    expect(await active(driver)).toEqual([1]);
  });

  test('a shutdown that comes meanwhile is complete when it is durable', async () => {
    const { driver, queue, control, drives } = await controlled(way);
    await driver.write(queue, 2, 0, pattern(512), { blockBytes: 512 });
    drives[1]!.stalled = true;
    const removal = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    driver.registers.cc.shn = 1;
    await control.pass();
    expect([driver.registers.csts.shst, removal.answer]).toEqual([1, null]);
    drives[1]!.stalled = false;
    expect((await control.answered(removal)).status).toBe(204);
    await control.pass();
    expect(driver.registers.csts.shst).toBe(2);
  });

  test('what is under way ends before the flush, and the flush of a shutdown before the drive is closed', async () => {
    for (const seed of [2, 3, 4, 5, 6, 7]) {
      const drive = new TestDrive(mib, { seed });
      const { driver, queue, control, ram } = await controlled(way, { drives: [new TestDrive(mib), drive] });
      /** What the drive had when it was flushed first, and when it was closed. */
      const had: number[] = [];
      const { submit, close } = drive;
      drive.submit = (request) => {
        if (request.operation === 'flush' && had.length === 0) {
          had.push(drive.inFlight);
          drive.stalled = true;
        }
        return submit.call(drive, request);
      };
      drive.close = () => {
        had.push(drive.inFlight);
        return close.call(drive);
      };
      drive.stalled = true;
      queue.submit({ opcode: 1, nsid: 2, prp1: ram.allocate(4096), cdw12: 7 });
      await control.pass();
      const removal = control.begin('DELETE', '/namespaces/2');
      await control.pass();
      expect(had).toEqual([]);
      drive.stalled = false;
      await control.pass();
      expect(had).toEqual([0]);
      driver.registers.cc.shn = 1;
      await control.pass();
      // One of the two flushes ends, and later the other.
      const { poll } = drive;
      drive.poll = () => {
        const ended = poll.call(drive);
        if (ended) drive.stalled = true;
        return ended;
      };
      drive.stalled = false;
      await control.pass();
      expect([seed, had, drive.inFlight]).toEqual([seed, [0], 1]);
      drive.poll = poll;
      drive.stalled = false;
      expect((await control.answered(removal)).status).toBe(204);
      expect([seed, had]).toEqual([seed, [0, 0]]);
    }
  });

  test('a flush that fails: it is removed, and who asked is told what may be lost', async () => {
    const { driver, queue, control, drives } = await controlled(way);
    const drive = drives[1]!;
    await driver.write(queue, 2, 0, pattern(512), { blockBytes: 512 });
    drive.fail = ({ operation }) => (operation === 'flush' ? 5 : 0);
    drive.close = () => {
      drive.closed = true;
      return Promise.reject(new Error('drive x: a flush failed'));
    };
    expect(await control.ask('DELETE', '/namespaces/2')).toEqual({
      status: 500,
      body: 'drive x: a flush failed (it has been removed)',
    });
    expect([drive.closed, await allocated(driver)]).toEqual([true, [1]]);
    // Reliability is of those that are there, and another in its place is well.
    expect((await driver.logPage(2, 512))[0]).toBe(0);
    const { body } = await control.ask('POST', '/namespaces', { drive: 'image.img', nsid: 2 });
    expect(body).toMatchObject({ nsid: 2, failure: null });
    await driver.flush(queue, 2);
  });

  test('a drive that does not answer in time is asked until it does, and not closed before', async () => {
    const { control, drives } = await controlled(way);
    const drive = drives[1]!;
    drive.slow = true;
    drive.fail = ({ operation }) => (operation === 'flush' ? 110 : 0);
    const removal = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    expect([removal.answer, drive.closed]).toEqual([null, false]);
    expect(drive.seen.length).toBeGreaterThan(2);
    drive.fail = () => 0;
    expect((await control.answered(removal)).status).toBe(204);
    expect(drive.closed).toBe(true);
  });

  test('not while it is formatted; and a format does not begin any more', async () => {
    const { driver, control, drives } = await controlled(way);
    drives[1]!.stalled = true;
    const format = formatNamespace(driver, 2, 1);
    await control.pass();
    expect((await control.ask('GET', '/namespaces/2')).body).toMatchObject({ state: 'formatting' });
    const refused = { status: 409, body: 'namespace 2 is being formatted' };
    expect(await control.ask('DELETE', '/namespaces/2')).toEqual(refused);
    expect(await control.ask('POST', '/namespaces/2/detach')).toEqual(refused);
    expect(await control.ask('PATCH', '/namespaces/2', { sizeBytes: 2 * mib })).toEqual(refused);
    drives[1]!.stalled = false;
    expect((await format).status).toBe(0);
    expect((await control.ask('DELETE', '/namespaces/2')).status).toBe(204);
  });

  test('one of the pool is deleted, with its file', async () => {
    const { pool } = testPool();
    const { driver, queue, control } = await controlled(way, { drives: [new TestDrive(mib)], controller: { pool } });
    const nsid = (await createNamespace(driver, { nsze: 2048 })).dw0;
    await attachNamespace(driver, nsid, 'attach');
    await changed(driver);
    await driver.write(queue, nsid, 0, pattern(512), { blockBytes: 512 });
    expect((await control.ask('GET', `/namespaces/${nsid}`)).body).toMatchObject({ source: 'pool', attached: true });
    expect(await control.ask('PATCH', `/namespaces/${nsid}`, { sizeBytes: 4 * mib })).toEqual({
      status: 409,
      body: `namespace ${nsid} is of the pool, and has the size that it was made with`,
    });
    const event = awaitEvent(driver);
    expect((await control.ask('DELETE', `/namespaces/${nsid}`)).status).toBe(204);
    expect([await event, await changed(driver)]).toEqual([attributesChanged, [nsid]]);
    expect(pool.allocatedBytes).toBe(0);
    expect(pool.folder.files()).toEqual([]);
    expect((await deleteNamespace(driver, nsid)).status).not.toBe(0);
  });

  test.each([
    ['DELETE', ''],
    ['POST', '/attach'],
    ['POST', '/detach'],
  ])(
    '%s%s of one that the guest deletes first is not for the one that it makes in its place',
    async (method, action) => {
      const { pool } = testPool();
      const { driver, control, controller } = await controlled(way, {
        drives: [new TestDrive(mib)],
        controller: { pool },
      });
      const nsid = (await createNamespace(driver, { nsze: 2048 })).dw0;
      const { promise, resolve } = Promise.withResolvers<void>();
      const before = controller.jobs.inTurn(() => promise);
      const deleted = deleteNamespace(driver, nsid);
      const made = createNamespace(driver, { nsze: 1024 });
      await control.pass();
      const asked = control.begin(method, `/namespaces/${nsid}${action}`);
      await control.pass();
      resolve();
      await before;
      expect(await control.answered(asked)).toEqual({ status: 409, body: `namespace ${nsid} is gone, or going` });
      expect([(await deleted).status, await made]).toMatchObject([0, { status: 0, dw0: nsid }]);
      expect((await control.ask('GET', `/namespaces/${nsid}`)).body).toMatchObject({ blocks: 1024, attached: false });
      expect(pool.folder.files().length).toBe(1);
    },
  );

  test('the daemon ends meanwhile: nothing is left open', async () => {
    const { server, controller, control, drives } = await controlled(way);
    drives[1]!.stalled = true;
    const removal = control.begin('DELETE', '/namespaces/2');
    await control.pass();
    const quiet = controller.quiesce();
    await control.pass();
    drives[1]!.stalled = false;
    await control.answered(removal);
    await quiet;
    expect(drives.map(({ closed }) => closed)).toEqual([true, true]);
    expect((await control.ask('POST', '/namespaces', { drive: 'image.img' })).status).toBe(503);
    expect(server).toBeDefined();
  });
});

test('without a guest, and with one that has not started the controller', async () => {
  const drives = [1, 2].map((seed) => new TestDrive(mib, { seed }));
  const { open } = opener();
  const made = machine('mapped', { drives, controller: { openDrive: open } });
  const control = new Controlled(made);
  expect((await control.ask('POST', '/namespaces', { drive: 'mem:1M', nsid: 5 })).status).toBe(200);
  expect((await control.ask('DELETE', '/namespaces/1')).status).toBe(204);
  expect((await control.ask('PATCH', '/namespaces/2', { sizeBytes: 3 * mib })).body).toMatchObject({ blocks: 6144 });
  made.client.close();
  made.settle();
  expect((await control.ask('DELETE', '/namespaces/5')).status).toBe(204);
  expect((await control.ask('GET', '/namespaces')).body.map(({ nsid }: { nsid: number }) => nsid)).toEqual([2]);
  expect((await control.ask('DELETE', '/namespaces/2')).status).toBe(204);
  expect((await control.ask('GET', '/namespaces')).body).toEqual([]);
});

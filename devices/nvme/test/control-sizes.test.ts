import { DriveError } from '@sidecard/block';
import { AdminOpcode, attachNamespace, formatNamespace, type NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Controlled } from './controlled.ts';
import { type MachineOptions, pattern, started, type Way, ways } from './machine.ts';
import { NoteFile } from './note-file.ts';
import { TestDrive } from './test-drive.ts';

const mib = 1 << 20;
const blocks = { blockBytes: 512 };

async function controlled(way: Way, options: MachineOptions = {}) {
  const made = await started(way, options);
  await made.driver.setFeature(0x0b, 1 << 8);
  return { ...made, control: new Controlled(made) };
}

/** The Changed Namespace List. */
async function changed(driver: NvmeDriver): Promise<number[]> {
  const page = await driver.logPage(4, 4096);
  return [...new Uint32Array(page.buffer, page.byteOffset, 1024)].filter((nsid) => nsid !== 0);
}

describe.each(ways)('PATCH /namespaces/{nsid}, %s memory', (way) => {
  test('grown: the guest has its event, and the new blocks', async () => {
    const { driver, queue, control, drive } = await controlled(way);
    const cid = driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    const { body } = await control.ask('PATCH', '/namespaces/1', { sizeBytes: 3 * mib });
    expect(body).toMatchObject({ sizeBytes: 3 * mib, blocks: 6144 });
    // It lasts.
    expect(drive.seen.at(-1)).toMatchObject({ operation: 'flush' });
    expect((await driver.admin.completion(cid)).dw0).toBe((4 << 16) | 2);
    expect(await changed(driver)).toEqual([1]);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(6144);
    const data = pattern(4096);
    await driver.write(queue, 1, 6136, data, blocks);
    expect(await driver.read(queue, 1, 6136, 4096, blocks)).toEqual(data);
    // The same again changes nothing, and nobody hears of it.
    expect((await control.ask('PATCH', '/namespaces/1', { sizeBytes: 3 * mib })).status).toBe(200);
    expect(await changed(driver)).toEqual([]);
  });

  test('cut: only where that is said, and when it is detached; what was marked there is forgotten', async () => {
    const drive = new TestDrive(mib);
    const notes = new NoteFile();
    drive.file = notes;
    const { driver, queue, control, ram } = await controlled(way, { drives: [drive] });
    await driver.writeUncorrectable(queue, 1, 1000, 100 * 512, blocks);
    const half = { sizeBytes: mib / 2 };
    expect(await control.ask('PATCH', '/namespaces/1', half)).toEqual({
      status: 409,
      body: 'the last 524288 bytes of namespace 1 would be lost (shrink: true allows it)',
    });
    const inUse = { status: 409, body: 'namespace 1 is in use: it can be cut when it is detached' };
    expect(await control.ask('PATCH', '/namespaces/1', { ...half, shrink: true })).toEqual(inUse);
    drive.stalled = true;
    const cid = queue.submit({ opcode: 1, nsid: 1, prp1: ram.allocate(4096), cdw10: 2047 });
    await control.pass();
    const detached = control.begin('POST', '/namespaces/1/detach');
    await control.pass();
    // Detached, and a write is still on its way.
    expect(detached.answer).toBeNull();
    expect(await control.ask('PATCH', '/namespaces/1', { ...half, shrink: true })).toEqual(inUse);
    drive.stalled = false;
    expect((await control.answered(detached)).body).toMatchObject({ attached: false });
    expect((await queue.completion(cid)).status).toBe(0);
    const { body } = await control.ask('PATCH', '/namespaces/1', { ...half, shrink: true });
    expect(body).toMatchObject({ blocks: 1024, attached: false });
    expect(notes.marks).toEqual([[1000 * 512, 1024 * 512]]);
    await control.ask('POST', '/namespaces/1/attach');
    await expect(driver.read(queue, 1, 1024, 512, blocks)).rejects.toThrow('0h/80h');
  });

  test.each([
    [28, 507],
    [122, 507],
    [27, 507],
    [5, 409],
  ])('errno %i of the host is %i, and nothing is lost', async (errno, status) => {
    const { driver, queue, control, drive } = await controlled(way);
    const data = pattern(4096);
    await driver.write(queue, 1, 2040, data, blocks);
    drive.setSize = () => Promise.reject(new DriveError('failure', 'drive x: no', errno));
    expect(await control.ask('PATCH', '/namespaces/1', { sizeBytes: 2 * mib })).toEqual({
      status,
      body: 'drive x: no',
    });
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(2048);
    expect(await driver.read(queue, 1, 2040, 4096, blocks)).toEqual(data);
    expect(await changed(driver)).toEqual([]);
  });

  test('sizes that cannot be, and moments', async () => {
    const { control, drive, driver } = await controlled(way);
    expect(await control.ask('PATCH', '/namespaces/1', { sizeBytes: 2 * mib + 100 })).toEqual({
      status: 400,
      body: 'sizeBytes is no multiple of 512, the block',
    });
    expect((await control.ask('PATCH', '/namespaces/2', { sizeBytes: mib })).status).toBe(404);
    let goOn = () => {};
    const { setSize } = drive;
    drive.setSize = async (sizeBytes) => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      await setSize.call(drive, sizeBytes);
    };
    const first = control.begin('PATCH', '/namespaces/1', { sizeBytes: 2 * mib });
    const busy = { status: 409, body: 'namespace 1 is being resized' };
    expect(await control.ask('PATCH', '/namespaces/1', { sizeBytes: 4 * mib })).toEqual(busy);
    expect(await control.ask('POST', '/namespaces/1/remeasure')).toEqual(busy);
    // A removal and a format wait for it; a detachment, too.
    const removal = control.begin('DELETE', '/namespaces/1');
    await control.pass();
    expect([first.answer, removal.answer, drive.closed]).toEqual([null, null, false]);
    expect((await formatNamespace(driver, 1, 0)).status).not.toBe(0);
    goOn();
    expect((await control.answered(first)).status).toBe(200);
    expect((await control.answered(removal)).status).toBe(204);
  });

  test('the daemon ends meanwhile: it waits for no host that hangs, and a drive that is closed is asked nothing', async () => {
    const { control, controller, drive, log } = await controlled(way);
    let goOn = () => {};
    const { setSize, submit } = drive;
    drive.setSize = async (sizeBytes) => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      await setSize.call(drive, sizeBytes);
    };
    drive.submit = (request) => {
      expect(drive.closed).toBe(false);
      return submit.call(drive, request);
    };
    const resized = control.begin('PATCH', '/namespaces/1', { sizeBytes: 2 * mib });
    await control.pass();
    await controller.quiesce();
    expect([drive.closed, resized.answer]).toEqual([true, null]);
    // A descriptor that was closed may be another file's by now.
    for (const [method, path] of [
      ['PATCH', '/namespaces/1'],
      ['POST', '/namespaces/1/remeasure'],
    ] as const) {
      expect((await control.ask(method, path, { sizeBytes: 4 * mib })).status).toBe(503);
    }
    goOn();
    expect((await control.answered(resized)).status).toBe(200);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('the daemon ends while one is being removed or formatted that waits for a host that hangs', async () => {
    for (const also of ['DELETE', 'format'] as const) {
      const { control, controller, drive, driver } = await controlled(way);
      drive.setSize = () => new Promise(() => {});
      control.begin('PATCH', '/namespaces/1', { sizeBytes: 2 * mib });
      await control.pass();
      if (also === 'DELETE') control.begin('DELETE', '/namespaces/1');
      else driver.admin.submit({ opcode: AdminOpcode.formatNvm, nsid: 1 });
      await control.pass();
      let ended = false;
      controller.quiesce().then(() => {
        ended = true;
      });
      await control.pass();
      expect([also, ended, drive.closed]).toEqual([also, true, true]);
    }
  });

  test('one that the guest was given while it could not be cut: it is told that it has its size again', async () => {
    const { control, drive, driver } = await controlled(way);
    await control.ask('POST', '/namespaces/1/detach');
    await changed(driver);
    let refuse = () => {};
    drive.setSize = async (sizeBytes) => {
      const was = drive.geometry.sizeBytes;
      drive.geometry.sizeBytes = sizeBytes;
      await new Promise<void>((resolve) => {
        refuse = resolve;
      });
      drive.geometry.sizeBytes = was;
      throw new DriveError('failure', 'drive x: no', 5);
    };
    const cut = control.begin('PATCH', '/namespaces/1', { sizeBytes: mib / 2, shrink: true });
    await control.pass();
    await control.ask('POST', '/namespaces/1/attach');
    expect(await changed(driver)).toEqual([1]);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(1024);
    refuse();
    expect((await control.answered(cut)).status).toBe(409);
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(2048);
    expect(await changed(driver)).toEqual([1]);
  });

  test('in the middle of a reset, of a shutdown, and while the guest is down', async () => {
    const { driver, control, drive, ram, queue } = await controlled(way);
    drive.stalled = true;
    queue.submit({ opcode: 1, nsid: 1, prp1: ram.allocate(4096) });
    await control.pass();
    driver.registers.cc.value = 0;
    const resized = control.begin('PATCH', '/namespaces/1', { sizeBytes: 2 * mib });
    await control.pass();
    expect(driver.registers.csts.rdy).toBe(1);
    drive.stalled = false;
    expect((await control.answered(resized)).body).toMatchObject({ blocks: 4096 });
    await control.pass();
    expect(driver.registers.csts.rdy).toBe(0);
    expect((await control.ask('PATCH', '/namespaces/1', { sizeBytes: 3 * mib })).status).toBe(200);
    await driver.enable();
    expect((await driver.identifyNamespace(1)).sizeBlocks).toBe(6144);
    drive.stalled = true;
    driver.registers.cc.shn = 1;
    await control.pass();
    const again = control.begin('PATCH', '/namespaces/1', { sizeBytes: 4 * mib });
    await control.pass();
    expect([driver.registers.csts.shst, again.answer]).toEqual([1, null]);
    drive.stalled = false;
    expect((await control.answered(again)).status).toBe(200);
    await control.pass();
    expect(driver.registers.csts.shst).toBe(2);
  });
});

describe.each(ways)('POST /namespaces/{nsid}/..., %s memory', (way) => {
  test('remeasure: what somebody has resized outside', async () => {
    const { driver, control, drive } = await controlled(way);
    expect((await control.ask('POST', '/namespaces/1/remeasure')).body).toMatchObject({ blocks: 2048 });
    expect(await changed(driver)).toEqual([]);
    drive.resize(2 * mib);
    expect((await control.ask('GET', '/namespaces/1')).body).toMatchObject({ blocks: 2048 });
    expect((await control.ask('POST', '/namespaces/1/remeasure')).body).toMatchObject({ blocks: 4096 });
    expect(await changed(driver)).toEqual([1]);
  });

  test('detach and attach: as Namespace Attachment, and the guest is told', async () => {
    const { driver, queue, control } = await controlled(way);
    expect((await control.ask('POST', '/namespaces/1/detach')).body).toMatchObject({ attached: false });
    expect(await changed(driver)).toEqual([1]);
    await expect(driver.read(queue, 1, 0, 512, blocks)).rejects.toThrow('0h/2h');
    expect(await control.ask('POST', '/namespaces/1/detach')).toEqual({
      status: 409,
      body: 'namespace 1 is not attached',
    });
    expect((await attachNamespace(driver, 1, 'attach')).status).toBe(0);
    await driver.read(queue, 1, 0, 512, blocks);
  });

  test('a drive that has stalled keeps its namespace from being detached, and no other from anything', async () => {
    const drives = [1, 2, 3].map((seed) => new TestDrive(mib, { seed }));
    const { driver, queue, control, ram } = await controlled(way, { drives });
    for (const drive of drives.slice(0, 2)) drive.stalled = true;
    const cids = [1, 2].map((nsid) => queue.submit({ opcode: 1, nsid, prp1: ram.allocate(4096) }));
    await control.pass();
    const detached = control.begin('POST', '/namespaces/1/detach');
    const byGuest = attachNamespace(driver, 2, 'detach');
    await control.pass();
    expect((await control.ask('POST', '/namespaces/3/detach')).status).toBe(200);
    expect((await attachNamespace(driver, 3, 'attach')).status).toBe(0);
    expect((await control.ask('DELETE', '/namespaces/3')).status).toBe(204);
    // Who attaches it again does not keep the other waiting for ever.
    expect((await control.ask('POST', '/namespaces/1/attach')).status).toBe(200);
    expect(detached.answer).toBeNull();
    for (const drive of drives) drive.stalled = false;
    expect((await control.answered(detached)).status).toBe(200);
    expect((await byGuest).status).toBe(0);
    for (const cid of cids) expect((await queue.completion(cid)).status).toBe(0);
  });

  test('clear-failure: flushes and FUA fail from the first that failed until it is said, and then work again', async () => {
    const { driver, queue, control, drive, controller } = await controlled(way);
    expect(await control.ask('POST', '/namespaces/1/clear-failure')).toEqual({
      status: 409,
      body: 'no flush of namespace 1 has failed',
    });
    drive.fail = ({ operation }) => (operation === 'flush' ? 5 : 0);
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    drive.failure = 'a flush failed (EIO), acknowledged data may be lost';
    drive.fail = () => 0;
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    await expect(driver.write(queue, 1, 0, pattern(512), { ...blocks, fua: true })).rejects.toThrow('2h/80h');
    expect((await driver.logPage(2, 512))[0]).toBe(1 << 2);
    expect((await control.ask('GET', '/namespaces/1')).body.failure).toBe(drive.failure);
    expect(await control.ask('PATCH', '/namespaces/1', { sizeBytes: 2 * mib })).toEqual({
      status: 409,
      body: 'flushes of namespace 1 fail',
    });
    expect((await control.ask('POST', '/namespaces/1/clear-failure')).body.failure).toBeNull();
    expect(drive.failure).toBeNull();
    await driver.flush(queue, 1);
    await driver.write(queue, 1, 0, pattern(512), { ...blocks, fua: true });
    expect((await driver.logPage(2, 512))[0]).toBe(0);
    // The next that fails is as the first.
    drive.fail = ({ operation }) => (operation === 'flush' ? 5 : 0);
    await expect(driver.flush(queue, 1)).rejects.toThrow('2h/80h');
    expect(controller.namespaces.allocated(1)!.flushFailed).toBe(true);
  });
});

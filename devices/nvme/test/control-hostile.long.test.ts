import { AdminOpcode, generator, type NvmeDriver } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Controlled, opener } from './controlled.ts';
import { machine, pattern, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';
import { testPool } from './test-pool.ts';

const mib = 1 << 20;
const everything = 0xffff_ffff;

/** Namespaces made, deleted, attached, detached and formatted, rightly and wrongly, without a look at what comes of it. */
function meddle(driver: NvmeDriver, random: () => number): void {
  const some = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const { ram, admin } = driver;
  const prp1 = ram.allocate(4096);
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  const nsid = some([0, 1, 2, 2, 3, 3, 4, 5, 17, everything]);
  switch (some(['create', 'delete', 'attachment', 'attachment', 'format', 'format', 'log'])) {
    case 'create':
      view.setUint32(0, 128, true);
      view.setUint32(8, 128, true);
      ram.store(prp1, page);
      admin.push({ opcode: AdminOpcode.namespaceManagement, nsid: 0, prp1, cdw10: 0 });
      break;
    case 'delete':
      admin.push({ opcode: AdminOpcode.namespaceManagement, nsid, prp1, cdw10: 1 });
      break;
    case 'attachment':
      view.setUint16(0, 1, true);
      ram.store(prp1, page);
      admin.push({ opcode: AdminOpcode.namespaceAttachment, nsid, prp1, cdw10: some([0, 1]) });
      break;
    case 'format':
      admin.push({ opcode: AdminOpcode.formatNvm, nsid, prp1, cdw10: some([0, 1]) });
      break;
    case 'log':
      admin.push({ opcode: AdminOpcode.getLogPage, nsid: everything, prp1, cdw10: 4 | (1023 << 16) });
      break;
  }
}

describe.each(ways)('a driver that meddles with its namespaces while a person does, %s memory', (way) => {
  test.each([1, 2, 3, 4, 5])('every request has its answer, and the controller works on (seed %i)', async (seed) => {
    const random = generator(seed);
    const { pool } = testPool('size=1M');
    const coming = new TestDrive(mib, { seed: 9 });
    const drives = [new TestDrive(mib), new TestDrive(mib, { seed: 2 })];
    const { open } = opener({ 'coming.img': coming });
    const made = machine(way, { drives, controller: { openDrive: open, pool }, ramBytes: 8 * mib });
    const { driver, controller } = made;
    for (const drive of [...drives, coming]) drive.slow = true;
    const control = new Controlled(made);
    await driver.enable();
    const nsid = () => 1 + Math.floor(random() * 5);
    const requests = [
      () => control.begin('POST', '/namespaces', { drive: 'coming.img' }),
      () => control.begin('POST', '/namespaces', { drive: 'null:1M', nsid: nsid(), attached: random() < 0.5 }),
      () => control.begin('DELETE', `/namespaces/${nsid()}`),
      () => control.begin('POST', `/namespaces/${nsid()}/attach`),
      () => control.begin('POST', `/namespaces/${nsid()}/detach`),
      () => control.begin('PATCH', `/namespaces/${nsid()}`, { sizeBytes: 4096 * (250 + nsid() * 3), shrink: true }),
      () => control.begin('POST', `/namespaces/${nsid()}/remeasure`),
    ];
    const asked = [];
    for (let round = 0; round < 250; round++) {
      if (!driver.admin.full) meddle(driver, random);
      driver.admin.ring();
      if (random() < 0.6) asked.push(requests[Math.floor(random() * requests.length)]!());
      await control.pass(random() < 0.3 ? 2 : 0);
      driver.admin.reap();
      if (random() < 0.05) await driver.enable();
    }
    for (const { status, body } of await Promise.all(asked.map((one) => control.answered(one)))) {
      expect([status, body]).toEqual([expect.toBeOneOf([200, 204, 400, 404, 409]), body]);
    }
    await control.pass();
    expect(made.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect(controller.namespaces.list.every(({ users, condemned }) => users === 0 && !condemned)).toBe(true);
    // What is in the table of the pool is what there is of it.
    const ofPool = controller.namespaces.list.filter(({ deletable }) => deletable).map(({ backend }) => backend);
    expect(pool.folder.files().length).toBe(ofPool.length);
    await driver.enable();
    const queue = await driver.createQueues(1);
    // A namespace whose creation had begun before the reset is made all the same.
    let atRest = false;
    void controller.jobs.inTurn(async () => {
      atRest = true;
    });
    while (!atRest) await control.pass(1);
    for (const one of [...controller.namespaces.list]) {
      for (const end = Date.now() + 10_000; one.formatting !== null && Date.now() < end; ) await control.pass(1);
      expect((await control.ask('DELETE', `/namespaces/${one.nsid}`)).status).toBe(204);
    }
    expect((await control.ask('GET', '/namespaces')).body).toEqual([]);
    const { nsid: fresh } = (await control.ask('POST', '/namespaces', { drive: 'mem:1M' })).body;
    const data = pattern(4096);
    await driver.write(queue, fresh, 8, data, { blockBytes: 512 });
    expect(await driver.read(queue, fresh, 8, 4096, { blockBytes: 512 })).toEqual(data);
  });
});

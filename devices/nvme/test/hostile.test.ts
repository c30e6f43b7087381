import { generator } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { machine, pattern, started, ways } from './machine.ts';

describe.each(ways)('a guest that does wrong, %s memory', (way) => {
  test('queue memory unmapped, then a doorbell: CSTS.CFS, and a reset helps', async () => {
    const { driver, client, ram, queue, settle, log } = await started(way);
    client.unmapRam(ram);
    driver.trapped.tail(queue.id, 1);
    settle();
    expect(driver.registers.csts.cfs).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    client.mapRam(ram);
    await driver.enable();
    const again = await driver.createQueues(1);
    await driver.write(again, 1, 0, pattern(512), { blockBytes: 512 });
  });

  test('memory unmapped with commands at the drive: one failure, and one line', async () => {
    const { driver, client, ram, queue, settle, log, drive } = await started(way);
    drive.stalled = true;
    for (let index = 0; index < 10; index++) queue.push({ opcode: 0, nsid: 1 });
    queue.ring();
    settle();
    client.unmapRam(ram);
    drive.stalled = false;
    settle();
    expect(driver.registers.csts.cfs).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    client.mapRam(ram);
    await driver.enable();
  });

  test('a completion queue that is not there', async () => {
    const { driver, ram, settle } = await started(way);
    const create = { opcode: 5, prp1: 0xdead_0000, cdw10: (15 << 16) | 2, cdw11: 1 };
    await driver.adminCommand(create);
    const prp1 = ram.allocate(4096);
    await driver.adminCommand({ opcode: 1, prp1, cdw10: (15 << 16) | 2, cdw11: (2 << 16) | 1 });
    driver.trapped.tail(2, 1);
    settle();
    expect(driver.registers.csts.cfs).toBe(1);
    await driver.enable();
  });

  test('bus mastering off: nothing is fetched until it is on again', async () => {
    const { driver, handle, queue, settle, ram } = await started(way);
    handle.setBusMaster(false);
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    settle();
    expect(driver.registers.csts.value).toBe(1);
    handle.setBusMaster(true);
    expect((await queue.completion(cid)).status).toBe(0);
  });

  test('doorbells before it is ready', () => {
    const { driver, settle } = machine(way);
    for (const id of [0, 1, 64, 65, 511]) {
      driver.trapped.tail(id, 1);
      driver.trapped.head(id, 1);
    }
    settle();
    expect(driver.registers.csts.value).toBe(0);
  });

  test('random bytes as commands: every one is answered or fails the controller', async () => {
    const random = generator(99);
    for (let round = 0; round < 4; round++) {
      const { driver, queue, ram, settle, controller, log } = await started(way);
      const prp1 = ram.allocate(0x10000);
      let answered = 0;
      for (let count = 0; count < 150; count++) {
        const one = random() < 0.3 ? driver.admin : queue;
        const dword = () => (random() < 0.5 ? Math.floor(random() * 4) : Math.floor(random() * 0x1_0000_0000));
        const cid = one.submit({
          opcode: Math.floor(random() * (random() < 0.8 ? 16 : 256)),
          flags: random() < 0.9 ? 0 : Math.floor(random() * 256),
          nsid: random() < 0.8 ? 1 : dword(),
          prp1: random() < 0.7 ? prp1 : dword() * 4096,
          prp2: random() < 0.7 ? prp1 + 4096 : dword() * 8,
          cdw10: dword(),
          cdw11: dword(),
          cdw12: random() < 0.5 ? Math.floor(random() * 300) : dword(),
          cdw13: dword(),
        });
        settle(60);
        if (one.poll(cid) !== null) answered++;
        if (driver.registers.csts.cfs === 1) break;
        // Deleted by a command that it made up; or event requests that wait.
        if (one.inFlight > 8) break;
      }
      expect(answered).toBeGreaterThan(0);
      expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
      await driver.enable();
      await driver.identifyController();
      settle();
      expect(controller.inFlight).toBe(0);
    }
  });
});

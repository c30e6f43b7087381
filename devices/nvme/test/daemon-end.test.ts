import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TimedBackend } from '@sidecard/block';
import { createNamespace } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { started, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';
import { testPool } from './test-pool.ts';

const read = { opcode: 2, nsid: 1 };
const limitMs = 25_000;

describe.each(ways)('the daemon ends (SIGTERM), %s memory', (way) => {
  test('a drive that is closed is not looked at while another still flushes', async () => {
    const [quick, slow] = [new TestDrive(1 << 20), new TestDrive(1 << 20, { seed: 2 })];
    const { server, settle } = await started(way, { drives: [quick, slow] });
    const looked: string[] = [];
    for (const what of ['poll', 'arm', 'disarm'] as const) {
      Object.assign(quick, { [what]: () => quick.closed && looked.push(what) > 0 });
    }
    let flushed = () => {};
    slow.close = () =>
      new Promise((resolve) => {
        flushed = resolve;
      });
    const closed = server.close();
    for (let turns = 0; turns < 100 && !quick.closed; turns++) {
      settle(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(quick.closed).toBe(true);
    settle(10);
    flushed();
    await closed;
    expect(looked).toEqual([]);
  });

  test('what is in flight ends first, then the drives close', async () => {
    const { server, drive, queue, ram, settle, controller } = await started(way);
    drive.stalled = true;
    for (let index = 0; index < 4; index++) queue.submit({ ...read, prp1: ram.allocate(4096) });
    settle();
    const closed = server.close();
    settle();
    expect(drive.closed).toBe(false);
    drive.stalled = false;
    for (let turn = 0; turn < 1000 && controller.inFlight > 0; turn++) settle(10);
    await closed;
    expect(drive.closed).toBe(true);
  });

  test('when the client answers no DMA any more: it is left', async () => {
    const { server, queue, ram, drive } = await started(way);
    for (let index = 0; index < 10; index++) queue.push({ ...read, prp1: ram.allocate(4096) });
    queue.ring();
    let ended = false;
    const closed = server.close().then(() => {
      ended = true;
    });
    for (let seconds = 0; seconds < 10 && !ended; seconds++) {
      server.settle();
      server.clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ended).toBe(true);
    await closed;
    expect(drive.closed).toBe(true);
    expect(server.clock.timers).toBe(0);
  });

  test('while a shutdown waits for the drive: no more is asked of it, and the shutdown is never complete', async () => {
    const made = await started(way, { wrap: (drive, host) => new TimedBackend(drive, limitMs, host) });
    const { driver, drive, server, settle } = made;
    drive.stalled = true;
    driver.registers.cc.shn = 1;
    settle();
    let ended = false;
    const closed = server.close().then(() => {
      ended = true;
    });
    for (let times = 0; times < 5 && !ended; times++) {
      server.clock.advance(limitMs);
      server.settle();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ended).toBe(true);
    await closed;
    expect(made.controller.registers.csts.shst).toBe(1);
  });

  test('while a namespace is made: it is none', async () => {
    const pool = testPool('size=1G');
    const { driver, server, handle } = await started(way, { drives: [], controller: { pool: pool.pool } });
    const drive = new TestDrive(160 << 20);
    drive.stalled = true;
    pool.folder.next = drive;
    void createNamespace(driver, { nsze: 160 * 2048 }).catch(() => {});
    while (drive.seen.length === 0) {
      handle.port.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const closing = server.close();
    drive.stalled = false;
    server.settle();
    await closing;
    expect(drive.seen.length).toBe(1);
    const { namespaces } = JSON.parse(readFileSync(join(pool.path, 'pool.json'), 'utf8'));
    expect(namespaces).toEqual([]);
    expect(readdirSync(pool.path).filter((name) => name.endsWith('.img'))).toEqual([]);
  });
});

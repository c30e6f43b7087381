import { mkdtempSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StateArena } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { InProcessServer, RecordedLog } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Controller } from '../src/index.ts';
import { driveOpener, openBacking, parseBacking } from '../src/namespaces/backing.ts';
import { Controlled } from './controlled.ts';

const mib = 1 << 20;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nvme-successor-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A daemon's controller on two images, over an arena: a successor is started as its predecessor was. */
function controller(arena: StateArena) {
  const native = loadNative();
  const log = new RecordedLog();
  const drives = ['one', 'two'].map((name) => `${join(folder, name)}.img,size=1M`);
  let made: Controller | null = null;
  const server = new InProcessServer({ native, log, arena }, (host) => {
    const driveHost = { native, log, clock: host.clock, machineId: 'test' };
    const backing = openBacking(parseBacking(drives), driveHost, host.state);
    made = new Controller(host, { ...backing, openDrive: driveOpener(driveHost) });
    return made;
  });
  const settle = (turns = 1) => {
    for (let turn = 0; turn < turns; turn++) server.turn();
  };
  const control = new Controlled({ controller: made!, settle });
  const list = async () =>
    (await control.ask('GET', '/namespaces')).body.map(
      ({ nsid, drive, sizeBytes, attached }: { nsid: number; drive: string; sizeBytes: number; attached: boolean }) => [
        nsid,
        drive.replace(`${folder}/`, ''),
        sizeBytes / mib,
        attached,
      ],
    );
  return { controller: made! as Controller, control, list, log };
}

/** The arena as a process leaves it that dies now. */
function left(arena: StateArena): StateArena {
  return new StateArena(arena.buffer.slice());
}

test('a successor has the drives that its predecessor had: added, removed, grown, detached', async () => {
  const arena = StateArena.alloc();
  const first = controller(arena);
  expect((await first.control.ask('DELETE', '/namespaces/1')).status).toBe(204);
  await first.control.ask('POST', '/namespaces', { drive: `${folder}/three.img,size=1M`, nsid: 5 });
  await first.control.ask('POST', '/namespaces', { drive: `${folder}/four.img,size=1M`, attached: false });
  await first.control.ask('POST', '/namespaces', { drive: 'mem:1M' });
  await first.control.ask('PATCH', '/namespaces/2', { sizeBytes: 2 * mib });
  await first.control.ask('PATCH', '/namespaces/5', { sizeBytes: 3 * mib });
  await first.control.ask('POST', '/namespaces/2/detach');
  const expected = [
    [1, 'four.img', 1, false],
    [2, 'two.img', 2, false],
    [3, 'memory, 1 MiB', 1, true],
    [5, 'three.img', 3, true],
  ];
  expect(await first.list()).toEqual(expected);
  const after = left(arena);
  await first.controller.quiesce();
  // It has been removed: whatever becomes of it is nobody's business any more.
  unlinkSync(join(folder, 'one.img'));
  const second = controller(after);
  expect(await second.list()).toEqual(expected);
  expect(second.controller.who).toEqual(first.controller.who);
  // And so has the next.
  await second.control.ask('DELETE', '/namespaces/1');
  await second.control.ask('DELETE', '/namespaces/3');
  const last = left(after);
  await second.controller.quiesce();
  const third = controller(last);
  expect(await third.list()).toEqual([expected[1], expected[3]]);
  await third.controller.quiesce();
});

test('an added drive that cannot be had any more is missed, and the others are there', async () => {
  const arena = StateArena.alloc();
  const first = controller(arena);
  await first.control.ask('POST', '/namespaces', { drive: `${folder}/three.img,size=1M` });
  const after = left(arena);
  await first.controller.quiesce();
  unlinkSync(join(folder, 'three.img'));
  const second = controller(after);
  expect(await second.list()).toEqual([
    [1, 'one.img', 1, true],
    [2, 'two.img', 1, true],
  ]);
  expect(second.log.lines.map(({ message }) => message)).toContain('an added drive is lost');
  await second.controller.quiesce();
});

test('a start of its own knows only the command line', async () => {
  const first = controller(StateArena.alloc());
  await first.control.ask('POST', '/namespaces', { drive: `${folder}/three.img,size=1M` });
  await first.control.ask('DELETE', '/namespaces/1');
  await first.controller.quiesce();
  const second = controller(StateArena.alloc());
  expect(await second.list()).toEqual([
    [1, 'one.img', 1, true],
    [2, 'two.img', 1, true],
  ]);
  await second.controller.quiesce();
  expect(readFileSync(join(folder, 'three.img')).length).toBe(mib);
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ended } from '@sidecard/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseWave } from '../src/ctl/wave-file.ts';
import { GpioDaemon, run } from './daemon.ts';

let daemon: GpioDaemon;
beforeAll(async () => {
  daemon = await GpioDaemon.start();
});
afterAll(async () => {
  await daemon.stop();
  await daemon.remove();
});

test('set and get', async () => {
  expect(await daemon.ctl(['set', 'IN3=1', 'in4=1'])).toEqual({ code: 0, stdout: '', stderr: '' });
  expect((await daemon.ctl(['get', 'IN3', 'IN5'])).stdout).toBe('IN3=1\nIN5=0\n');
  expect((await daemon.ctl(['set', 'all=1', 'IN0=0'])).code).toBe(0);
  const lines = (await daemon.ctl(['get'])).stdout.trim().split('\n');
  expect([lines.length, lines[0], lines[16], lines[31]]).toEqual([32, 'OUT0=0', 'IN0=0', 'IN15=1']);
  await daemon.ctl(['set', 'all=0']);
});

test('pulse, wave and watch', async () => {
  const watch = run(['ctl', '--control', daemon.controlPath, 'watch']);
  while (!watch.stdout.includes('\n')) await new Promise((resolve) => watch.child.stdout!.once('data', resolve));
  expect((await daemon.ctl(['pulse', 'IN0', '--ms', '5'])).code).toBe(0);
  const file = join(daemon.folder, 'wave.csv');
  writeFileSync(file, '# three steps\nms,IN1,IN2\n0,1,0\n30,,1\n60,0,0\n');
  const wave = await daemon.ctl(['wave', file]);
  expect([wave.code, wave.stderr]).toEqual([
    0,
    expect.stringMatching(/^3 steps in 60 ms, none more than [\d.]+ ms late\n$/),
  ]);
  while (watch.stdout.trim().split('\n').length < 6) await new Promise((resolve) => setTimeout(resolve, 5));
  const [first = '', ...changes] = watch.stdout.trim().split('\n');
  expect(first).toMatch(/^0\.000 OUT0=0 .* IN15=0$/);
  expect(changes.map((line) => line.replace(/^\S+ /, ''))).toEqual(['IN0=1', 'IN0=0', 'IN1=1', 'IN2=1', 'IN1=0 IN2=0']);
  watch.child.kill('SIGINT');
  expect((await watch.ended).stderr).toBe('');
});

test('a long wave goes to the daemon in parts: every step is there, in order and not early', async () => {
  // 400 in a second, and ever so often several at one time.
  const steps = Array.from({ length: 900 }, (_, step) => ({ ms: Math.floor(step / 3) * 7.5, level: (step + 1) & 1 }));
  const file = join(daemon.folder, 'long.csv');
  writeFileSync(file, `ms,IN6\n${steps.map(({ ms, level }) => `${ms},${level}`).join('\n')}\n`);
  let wave: Promise<Ended> | null = null;
  const seen: { readonly atMs: number; readonly changed: object }[] = [];
  for await (const { event, data } of daemon.control.events('/changes')) {
    if (event === 'state') wave = daemon.ctl(['wave', file]);
    else seen.push(data as (typeof seen)[0]);
    if (seen.length === steps.length) break;
  }
  expect(await wave).toMatchObject({ code: 0, stderr: expect.stringMatching(/^900 steps in 2242\.5 ms, none more/) });
  expect(seen.map(({ changed }) => changed)).toEqual(steps.map(({ level }) => ({ IN6: level })));
  const latestMs = Number(/more than ([\d.]+) ms late/.exec((await wave)!.stderr)![1]);
  const beganMs = seen[0]!.atMs - latestMs - 0.1;
  for (const [step, { atMs }] of seen.entries()) expect(atMs).toBeGreaterThanOrEqual(beganMs + steps[step]!.ms);
});

test('a wave whose daemon ends: one line, and exit code 1', async () => {
  const other = await GpioDaemon.start();
  const wave = other.ctl(['wave', '-'], 'ms,IN0\n0,1\n2500,0\n');
  for await (const { event } of other.control.events('/changes')) if (event === 'change') break;
  await other.stop();
  expect(await wave).toMatchObject({ code: 1, stderr: expect.stringMatching(/^sidecard-gpio-idio16 ctl: [^\n]+\n$/) });
  await other.remove();
});

test('a wave from stdin', async () => {
  expect((await daemon.ctl(['wave', '-'], 'ms,IN9\n0,1\n')).code).toBe(0);
  expect((await daemon.ctl(['get', 'IN9'])).stdout).toBe('IN9=1\n');
});

test('watch ends with 1 when the daemon goes, and with 0 when nobody reads it', async () => {
  const other = await GpioDaemon.start();
  const watch = run(['ctl', '--control', other.controlPath, 'watch']);
  const piped = run(['ctl', '--control', other.controlPath, 'watch']);
  await Promise.all([watch, piped].map(({ child }) => new Promise((resolve) => child.stdout!.once('data', resolve))));
  piped.child.stdout!.destroy();
  await other.control.patch('/inputs', { IN0: 1 });
  await other.control.patch('/inputs', { IN0: 0 });
  expect((await piped.ended).code).toBe(0);
  await other.stop();
  expect(await watch.ended).toMatchObject({ code: 1, stderr: 'sidecard-gpio-idio16 ctl: the daemon has gone\n' });
  await other.remove();
});

describe('mistakes are one line, and exit code 2', () => {
  test.each<[string[], string]>([
    [[], 'a command is missing'],
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['get', 'IN16'], 'there is no line IN16'],
    [['set'], 'missing required argument'],
    [['set', 'IN3'], 'IN3 is no setting'],
    [['set', 'IN3=2'], 'IN3=2 is no setting'],
    [['set', 'OUT3=1'], 'OUT3 is an output'],
    [['pulse', 'IN3', '--ms', 'x'], '--ms x: 1 to 60000'],
    [['pulse', 'OUT3'], 'OUT3 is an output'],
    [['wave', 'missing.csv'], 'missing.csv cannot be read: no such file'],
    [['get', '--loud'], "unknown option '--loud'"],
  ])('%j', async (args, message) => {
    const ended = await daemon.ctl(args);
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
    expect(ended.stderr).toMatch(/^sidecard-gpio-idio16 ctl: [^\n]+\n$/);
  });

  test('without a socket', async () => {
    const { ended } = run(['ctl', 'get'], { env: { SIDECARD_CONTROL: '' } });
    expect(await ended).toMatchObject({ code: 2, stderr: expect.stringContaining('--control <path> is required') });
  });
});

test.each([
  ['nothing', 'there is no such socket'],
  ['wave.csv', 'nobody listens there'],
])('a socket that is %s: one line, and exit code 1', async (name, reason) => {
  const { ended } = run(['ctl', '--control', join(daemon.folder, name), 'get']);
  expect(await ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(new RegExp(`ctl: no daemon answers at [^\n]*: ${reason}\n$`)),
  });
});

test('a refusal of the daemon: its reason, and exit code 1', async () => {
  const looped = await GpioDaemon.start('--loopback');
  expect(await looped.ctl(['set', 'IN0=1'])).toMatchObject({
    code: 1,
    stderr: 'sidecard-gpio-idio16 ctl: the inputs are wired to the outputs (--loopback)\n',
  });
  await looped.stop();
  await looped.remove();
});

test('--help tells the commands', async () => {
  const { code, stdout } = await daemon.ctl(['--help']);
  expect(code).toBe(0);
  for (const command of ['get', 'set', 'pulse', 'watch', 'wave']) expect(stdout).toContain(command);
});

describe('a wave file', () => {
  test('has times, and levels or nothing; lines that are empty or begin with # do not count', () => {
    expect(parseWave('w', ['# mine', 'ms,IN0, in1', '', '0,1,', '2.5, ,0', '3,,', '3,0,1'])).toEqual([
      { ms: 0, inputs: { IN0: 1 } },
      { ms: 2.5, inputs: { IN1: 0 } },
      { ms: 3, inputs: { IN0: 0, IN1: 1 } },
    ]);
  });

  test.each([
    ['', 'w has no steps'],
    ['time,IN0', "w, line 1: the first column is 'ms'"],
    ['ms', 'w, line 1: there is no input'],
    ['ms,OUT0', "w, line 1: there is no input 'OUT0'"],
    ['ms,IN0,IN0', 'w, line 1: IN0 is there twice'],
    ['ms,IN0\n1', 'w, line 2: 1 columns, and the first line has 2'],
    ['ms,IN0\n-1,0', "w, line 2: '-1' is no time"],
    ['ms,IN0\n5,0\n4,1', 'w, line 3: 4 is before 5'],
    ['ms,IN0\n5,x', "w, line 2: 'x' is no level"],
    ['ms,IN0\n5,', 'w has no steps'],
  ])('%j is none: %s', (text, reason) => {
    expect(() => parseWave('w', text.split('\n'))).toThrow(reason);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GpioDaemon } from './daemon.ts';
import { openPanel, type Panel } from './panel.ts';

let daemon: GpioDaemon;
let panel: Panel;
beforeAll(async () => {
  daemon = await GpioDaemon.start('--panel', '0');
  panel = await openPanel(daemon.process);
});
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  expect(daemon.process.log).not.toMatch(/"level":[456]0/);
  await daemon.remove();
});

const folder = new URL('../panel/', import.meta.url);
const files = readdirSync(folder);

test('the page is all there, and asks for nothing from elsewhere', async () => {
  const page = await (await fetch(panel.url)).text();
  expect(page).toBe(readFileSync(new URL('index.html', folder), 'utf8'));
  for (const file of files.filter((name) => name !== 'index.html')) {
    expect([file, await (await fetch(new URL(file, panel.url))).text()]).toEqual([
      file,
      readFileSync(new URL(file, folder), 'utf8'),
    ]);
  }
  const texts = files.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  expect(
    texts.match(/\b(?:https?|wss?):\/\/(?!www\.w3\.org\/2000\/svg)[^\s'"]+|['"]\/\/|@import url|url\(/g),
  ).toBeNull();
  const named = [...texts.matchAll(/(?:src="|href="|from '\.\/|import\('\.\/)([^"']+)/g)].map(([, name]) => name!);
  expect(named.filter((name) => !files.includes(name))).toEqual([]);
});

describe('the panel', () => {
  test('switches inputs, and the guest is interrupted', async () => {
    const driver = daemon.guest();
    driver.enableInterrupts();
    const changed = driver.change();
    expect((await panel.patch({ IN3: 1 })).status).toBe(200);
    expect(await changed).toBe(0x0008);
    await panel.patch({ IN3: 0 });
  });

  test('streams how things are, and changes, whoever makes them', async () => {
    const driver = daemon.guest();
    const events = panel.events();
    expect((await events.next()).value).toEqual({
      event: 'state',
      data: expect.objectContaining({ outputs: expect.objectContaining({ OUT7: 0 }), loopback: false }),
    });
    driver.outputs = 0x80;
    await daemon.control.patch('/inputs', { IN0: 1 });
    await panel.patch({ IN0: 0 });
    for (const changed of [{ OUT7: 1 }, { IN0: 1 }, { IN0: 0 }]) {
      expect((await events.next()).value).toEqual({ event: 'change', data: expect.objectContaining({ changed }) });
    }
    await events.return();
    driver.outputs = 0;
  });

  test('is another way to the same card: what it sets, no pulse of the control socket turns back', async () => {
    const pulse = daemon.control.post('/inputs/pulse', { inputs: ['IN8'], ms: 1000 });
    while (((await daemon.control.get('/inputs')) as { IN8: number }).IN8 === 0);
    await panel.patch({ IN8: 1 });
    expect(await pulse).toMatchObject({ IN8: 1 });
    await panel.patch({ IN8: 0 });
  });

  test.each([
    '/inputs',
    '/outputs',
    '/card',
    '/device',
    '/metrics',
    '/openapi.json',
    '/index.html',
    '/tsconfig.panel.json',
  ])('has no GET %s', async (path) => {
    expect([404, 405]).toContain((await panel.ask(path)).status);
  });
});

describe('is refused, with a reason, and the inputs are as they were:', () => {
  const json = { 'content-type': 'application/json' };
  test.each<[string, string, object, string | undefined, number, string]>([
    ['an input that there is not', 'PATCH /inputs', json, '{"IN16":1}', 400, 'IN16'],
    ['an output', 'PATCH /inputs', json, '{"OUT0":1}', 400, 'OUT0'],
    ['a level that is none', 'PATCH /inputs', json, '{"IN0":2}', 400, 'IN0'],
    ['one that is wrong among many', 'PATCH /inputs', json, '{"IN0":1,"IN1":true}', 400, 'IN1'],
    ['nothing', 'PATCH /inputs', json, '{}', 400, 'fewer'],
    ['no JSON', 'PATCH /inputs', json, 'IN0=1', 400, 'not JSON'],
    ['no body', 'PATCH /inputs', json, undefined, 400, 'missing'],
    ['a long body', 'PATCH /inputs', json, `{"IN0":1${' '.repeat(70_000)}}`, 413, 'larger'],
    ['another type', 'PATCH /inputs', { 'content-type': 'text/plain' }, '{"IN0":1}', 415, 'application/json'],
    ['another method', 'PUT /inputs', json, '{"IN0":1}', 405, 'PATCH'],
    ['a pulse', 'POST /inputs/pulse', json, '{"inputs":["IN0"],"ms":1}', 404, '/inputs/pulse'],
    ['another page', 'PATCH /inputs', { ...json, origin: 'http://evil.example' }, '{"IN0":1}', 403, 'another page'],
    ['another site', 'PATCH /inputs', { ...json, 'sec-fetch-site': 'cross-site' }, '{"IN0":1}', 403, 'another page'],
    ['a name that leads here', 'PATCH /inputs', { ...json, host: 'evil.example' }, '{"IN0":1}', 403, 'Host'],
    ['no token', 'PATCH /inputs', { ...json, authorization: '' }, '{"IN0":1}', 401, 'token is missing'],
    ['another token', 'PATCH /inputs', { ...json, authorization: 'Bearer x' }, '{"IN0":1}', 401, 'token is wrong'],
  ])('%s', async (_, request, headers, body, status, reason) => {
    const [method = '', path = ''] = request.split(' ');
    const answer = await panel.ask(path, { method, headers, body });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([status, { error: expect.stringContaining(reason) }]);
    expect(Object.values((await daemon.control.get('/inputs')) as object)).toEqual(Array(16).fill(0));
  });
});
